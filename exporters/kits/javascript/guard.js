// Which answers to doubt: where a picture or its logits are unlike the training images', by the thresholds in the card.
// The measures, the order and the words are those of the toolkit that exported the model.

const FRAME_PIXELS = 2; // from each edge
const LEAST_VARIANCE = 1e-3; // below, all pixels count as equal
const UNLIKE = "unlike the training images of any class:";
const besides = (what) => (value, low, high) => `${what} ${fixed(value, 0)}, training images have ${fixed(low, 0)} to ${fixed(high, 0)}`;
// By measure what is said of a value under its least and of one over its most; what says most comes first.
const WORDS = [
  ["contrast", (value, low) => `nothing to see: contrast ${fixed(value, 1)}, training images have ${fixed(low, 1)} at least`, null],
  ["roughness", null, (value, _, high) => `grain, not a drawing: roughness ${fixed(value, 2)}, training images reach ${fixed(high, 2)}`],
  ["frame", besides("its edge has brightness"), besides("its edge has brightness")],
  ["brightness", besides("its brightness is"), besides("its brightness is")],
  ["distance", null, (value, _, high) => `${UNLIKE} distance ${fixed(value, 1)}, those reach ${fixed(high, 1)}`],
  ["strength", (value, low) => `${UNLIKE} largest logit ${general(value)}, those reach ${general(low)}`, null],
  ["margin", (value, low) => `two classes nearly equal: margin ${fixed(value, 2)}, training images have ${fixed(low, 2)} or more`, null],
];

/**
 * Say why an answer is to be doubted; "" where it is not, or where the card has no thresholds.
 * @param {{ limits?: Record<string, [number | null, number | null]>, centres?: number[][], whitening?: number[][] } | null} guard the card's
 * @param {{ data: Uint8Array, height: number, width: number, channels: number }} image as the model took it
 * @param {ArrayLike<number>} logits as it answered
 */
export function findDoubt(guard, image, logits) {
  if (!guard?.limits) return "";
  const measures = { ...measureImage(image), ...measureLogits(logits, guard) };
  for (const [name, under, over] of WORDS) {
    const [value, [least, most]] = [measures[name], guard.limits[name] ?? [null, null]];
    const [low, high] = [least ?? -Infinity, most ?? Infinity];
    if (value < low && under) return under(value, low, high);
    if (value > high && over) return over(value, low, high);
  }
  return "";
}

/** Brightness, contrast (standard deviation), brightness of the frame; roughness: 1 minus the correlation of neighbours. */
function measureImage({ data, height, width, channels }) {
  let [total, square, frame, framed, products, sums, pairs] = [0, 0, 0, 0, 0, 0, 0];
  for (let row = 0, at = 0; row < height; row++) {
    const isEdge = row < FRAME_PIXELS || row >= height - FRAME_PIXELS;
    for (let column = 0; column < width; column++) {
      const isFrame = isEdge || column < FRAME_PIXELS || column >= width - FRAME_PIXELS;
      for (let channel = 0; channel < channels; channel++, at++) {
        const value = data[at];
        total += value;
        square += value * value;
        if (isFrame) [frame, framed] = [frame + value, framed + 1];
        for (const next of [column + 1 < width ? at + channels : -1, row + 1 < height ? at + width * channels : -1]) {
          if (next < 0) continue;
          products += value * data[next];
          sums += value + data[next];
          pairs += 1;
        }
      }
    }
  }
  const mean = total / data.length;
  const variance = Math.max(square / data.length - mean * mean, 0);
  const isFlat = variance < LEAST_VARIANCE || !pairs;
  const correlation = isFlat ? 0 : (products - mean * sums + pairs * mean * mean) / pairs / variance;
  return { brightness: mean, contrast: Math.sqrt(variance), frame: frame / framed, roughness: 1 - correlation };
}

/** Largest logit, its margin, and its distance from the centre of the class it names, in standard deviations. */
function measureLogits(logits, { centres, whitening }) {
  const [strength, second] = Float64Array.from(logits).sort().reverse();
  const measures = { strength, margin: strength - second }; // with one class NaN, which is under no limit
  if (!centres) return measures;
  const apart = Array.from(logits, (value, at) => value - centres[logits.indexOf(strength)][at]);
  const scattered = whitening.map((row) => row.reduce((sum, weight, at) => sum + weight * apart[at], 0));
  return { ...measures, distance: Math.hypot(...scattered) };
}

/** A number with so many decimals; a half goes to the even one, as Python rounds it. */
function fixed(value, places) {
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  const text = value.toFixed(places);
  const isHalf = /^50*$/.test(value.toFixed(60).split(".")[1].slice(places));
  return isHalf && Number(text.at(-1)) % 2 ? (value - (Math.sign(value) * 10 ** -places) / 2).toFixed(places) : text;
}

/** A number with three figures that count. */
function general(value) {
  if (!Number.isFinite(value) || value === 0) return fixed(value, 0);
  const [mantissa, power] = value.toExponential(2).split("e");
  const exponent = Number(power);
  if (exponent >= -4 && exponent < 3) return String(Number(fixed(value, 2 - exponent)));
  return `${Number(mantissa)}e${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}
