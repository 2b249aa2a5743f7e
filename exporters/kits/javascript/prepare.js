// From a picture's pixels to exactly what the model takes: channels, polarity, size.
// It does what the exporting toolkit does to a picture, within one grey level: Pillow may resize rows or columns first.

/** Something about a picture that its owner has to hear. */
export class PictureError extends Error {}

/** What a note begins with that gives a reason to doubt the answer. */
export const DOUBT = "doubtful: ";

const MNIST_BOX_SHARE = 20 / 28; // ink is scaled into this share of the image
const INK_SHARE = 0.2; // paler than this share of the strongest ink is noise
const INK_DEVIATIONS = 5; // on an uneven ground: so many deviations of the paper's texture
const LARGEST_SIDE = 512; // larger pictures are reduced by whole factors first
const FRAME_SHARE = 1 / 16; // a frame of this share of the shorter side is the ground
const SAMPLED_SIDE = 256; // statistics come from about so many rows and columns
const STANDS_OUT = 4;
const BLOCKS = 16; // the ground of a photograph is measured in 16 x 16 blocks
const LEAST_SIDE = 64;
const EVEN_LEVELS = 16;
const FIT_ROUNDS = 12;
const LEAST_FOLLOWING = 0.6;
const LEAST_TOLERANCE = 3;
const NORMAL = 1.4826;
const SPECK_SHARE = 0.04; // a piece with less ink than this share of the largest is a speck
const OWN_SHARE = 0.35; // pieces of at least this share that lie beside one another are drawings of their own
const MOST_RUNS = 5000;

/**
 * @typedef {{ data: Uint8Array | Uint8ClampedArray, width: number, height: number, channels: 1 | 3 | 4 }} Picture
 * @typedef {{ height: number, width: number, channels: 1 | 3, polarity: string, fit: string }} InputSpec
 */

/**
 * Bring a picture to the model's input.
 * @param {Picture} picture grey, RGB or RGBA bytes, row by row
 * @param {InputSpec} spec what the model takes
 * @param {{ fit?: "auto" | "mnist" }} wish `mnist` fits a drawing even where it has the model's size already
 * @returns {{ data: Uint8Array, notes: string[] }} the model's bytes, and what was done in words
 * @throws {PictureError} nothing stands out from the ground, or the size may not be changed
 */
export function prepare(picture, spec, wish = {}) {
  const notes = [];
  let image = matchChannels(flatten(picture, notes), spec.channels, notes);
  if (spec.polarity === "light-on-dark" || spec.polarity === "dark-on-light") {
    const grey = image.channels === 1 ? image : meanGrey(image);
    const isOther = isDarkOnLight(spec.polarity === "light-on-dark" ? grey : invert(grey));
    if (isOther) {
      image = invert(image);
      notes.push(spec.polarity === "light-on-dark" ? "inverted: dark on light" : "inverted: light on dark");
    }
  }
  const fits = image.width === spec.width && image.height === spec.height;
  if (fits && wish.fit !== "mnist") return { data: Uint8Array.from(image.data), notes };
  const before = `${image.width}x${image.height}`;
  if (spec.fit === "mnist" && image.channels === 1) {
    const isDark = spec.polarity === "dark-on-light" || (spec.polarity !== "light-on-dark" && isDarkOnLight(image));
    const fitted = fitDrawing(isDark ? invert(image) : image, spec, notes);
    image = isDark ? invert(fitted) : fitted;
  } else if (spec.fit === "stretch") {
    image = resize(image, spec.width, spec.height);
  } else {
    throw new PictureError(`the picture is ${before}; the model takes exactly ${spec.width}x${spec.height}`);
  }
  notes.push(`fitted ${before} -> ${spec.width}x${spec.height}`);
  return { data: Uint8Array.from(image.data), notes };
}

/** Lay transparency over white, or over black where what is visible is mostly light. */
function flatten(picture, notes) {
  const { data, width, height, channels } = picture;
  if (!(width >= 1 && height >= 1)) throw new PictureError("the picture is empty");
  if (![1, 3, 4].includes(channels) || data.length !== width * height * channels) {
    throw new PictureError(
      `the picture has ${data.length} bytes; expected width x height x channels: ${width} x ${height} x ${channels}, channels 1, 3 or 4`,
    );
  }
  if (channels !== 4) return picture;
  let visible = 0;
  let weighed = 0;
  let isOpaque = true;
  for (let at = 0; at < data.length; at += 4) {
    visible += 3 * data[at + 3];
    weighed += (data[at] + data[at + 1] + data[at + 2]) * data[at + 3];
    isOpaque &&= data[at + 3] === 255;
  }
  const ground = visible && weighed / visible > 127.5 ? 0 : 255;
  const pixels = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; from < data.length; from += 4, to += 3) {
    const alpha = data[from + 3];
    for (let channel = 0; channel < 3; channel++) {
      pixels[to + channel] = Math.floor((data[from + channel] * alpha + ground * (255 - alpha) + 127) / 255);
    }
  }
  if (!isOpaque) notes.push(`transparency laid over ${ground ? "white" : "black"}`);
  return { data: pixels, width, height, channels: 3 };
}

function matchChannels(image, channels, notes) {
  if (image.channels === channels) return image;
  const { data, width, height } = image;
  const pixels = new Uint8Array(width * height * channels);
  if (channels === 1) {
    let isColour = false;
    for (let from = 0, to = 0; to < pixels.length; from += 3, to++) {
      const [red, green, blue] = [data[from], data[from + 1], data[from + 2]];
      isColour ||= red !== green || green !== blue;
      pixels[to] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16; // ITU-R 601-2, as Pillow rounds it
    }
    if (isColour) notes.push("colour turned to grey");
  } else {
    for (let at = 0; at < data.length; at++) pixels.fill(data[at], 3 * at, 3 * at + 3);
    notes.push("grey repeated as RGB");
  }
  return { data: pixels, width, height, channels };
}

function meanGrey({ data, width, height }) {
  const pixels = new Uint8Array(width * height);
  for (let at = 0; at < pixels.length; at++) {
    pixels[at] = (data[3 * at] + data[3 * at + 1] + data[3 * at + 2]) / 3;
  }
  return { data: pixels, width, height, channels: 1 };
}

function invert(image) {
  return { ...image, data: Uint8Array.from(image.data, (value) => 255 - value) };
}

// --- polarity ------------------------------------------------------------------------------------------------------

function isDarkOnLight(grey) {
  const sampled = sample(grey);
  const uneven = measureGround(sampled);
  const ground = uneven ? 0 : frameMedian(sampled);
  if (!uneven && ground === 0) return false;
  let under = 0;
  let over = 0;
  for (let at = 0; at < sampled.data.length; at++) {
    const difference = sampled.data[at] - (uneven ? uneven.surface[at] : ground);
    if (uneven && Math.abs(difference) < STANDS_OUT * uneven.noise) continue;
    if (difference < 0) under -= difference;
    else over += difference;
  }
  return under > over;
}

function sample({ data, width, height }) {
  const step = Math.max(1, Math.floor(Math.min(width, height) / SAMPLED_SIDE));
  const [columns, rows] = [Math.ceil(width / step), Math.ceil(height / step)];
  const pixels = new Uint8Array(rows * columns);
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, at++) pixels[at] = data[row * step * width + column * step];
  }
  return { data: pixels, width: columns, height: rows, channels: 1 };
}

function frameMedian({ data, width, height }) {
  const edge = Math.max(1, Math.floor(Math.min(width, height) * FRAME_SHARE));
  const values = [];
  for (let row = 0; row < height; row++) {
    const isInside = row >= edge && row < height - edge;
    for (let column = 0; column < width; column++) {
      if (!isInside || column < edge || column >= width - edge) values.push(data[row * width + column]);
    }
  }
  return median(values);
}

// --- the ground of a photograph ------------------------------------------------------------------------------------

/** The brightness of an unevenly lit ground under every pixel, or null where the ground is even. */
function measureGround({ data, width, height }) {
  if (Math.min(width, height) < LEAST_SIDE) return null;
  const medians = blockMedians(data, width, height);
  const places = Array.from({ length: BLOCKS }, (_, at) => ((2 * at) / (BLOCKS - 1) - 1) * (1 - 1 / BLOCKS));
  const terms = places.flatMap((y) => places.map((x) => [1, y, x, y * y, x * y, x * x]));
  const level = median(medians);
  let distance = medians.map((value) => Math.abs(value - level));
  let follows = distance.map((value) => value <= Math.max(LEAST_TOLERANCE, 2.5 * NORMAL * median(distance)));
  let weights = new Array(6).fill(0);
  let spread = 0;
  for (let round = 0; round < FIT_ROUNDS; round++) {
    weights = leastSquares(terms, medians, follows);
    distance = medians.map((value, at) => Math.abs(value - dot(terms[at], weights)));
    spread = NORMAL * median(distance.filter((_, at) => follows[at]));
    const now = distance.map((value) => value <= Math.max(LEAST_TOLERANCE, 2.5 * spread));
    const count = now.filter(Boolean).length;
    if (count <= 12 || now.every((value, at) => value === follows[at])) break;
    follows = now;
  }
  if (follows.filter(Boolean).length / follows.length < LEAST_FOLLOWING) return null;
  const surface = new Float64Array(width * height);
  let [least, most] = [Infinity, -Infinity];
  for (let row = 0, at = 0; row < height; row++) {
    const y = (2 * row + 1) / height - 1;
    for (let column = 0; column < width; column++, at++) {
      const x = (2 * column + 1) / width - 1;
      surface[at] = dot([1, y, x, y * y, x * y, x * x], weights);
      least = Math.min(least, surface[at]);
      most = Math.max(most, surface[at]);
    }
  }
  if (most - least <= EVEN_LEVELS) return null;
  const residual = Float64Array.from(data, (value, at) => value - surface[at]);
  const middle = median(residual);
  const noise = NORMAL * median(residual.map((value) => Math.abs(value - middle)));
  return { surface: Float32Array.from(surface), noise: Math.max(noise, spread) };
}

function blockMedians(data, width, height) {
  const [high, wide] = [Math.floor(height / BLOCKS), Math.floor(width / BLOCKS)];
  const medians = [];
  for (let block = 0; block < BLOCKS * BLOCKS; block++) {
    const [top, left] = [Math.floor(block / BLOCKS) * high, (block % BLOCKS) * wide];
    const values = [];
    for (let row = top; row < top + high; row++) {
      for (let column = left; column < left + wide; column++) values.push(data[row * width + column]);
    }
    medians.push(median(values));
  }
  return medians;
}

/** Solve the normal equations of the rows that follow, by elimination with pivots. */
function leastSquares(terms, values, follows) {
  const size = terms[0].length;
  const rows = Array.from({ length: size }, () => new Array(size + 1).fill(0));
  terms.forEach((term, at) => {
    if (!follows[at]) return;
    for (let row = 0; row < size; row++) {
      for (let column = 0; column < size; column++) rows[row][column] += term[row] * term[column];
      rows[row][size] += term[row] * values[at];
    }
  });
  for (let column = 0; column < size; column++) {
    const pivot = rows.slice(column).reduce((best, row, at) => (Math.abs(row[column]) > Math.abs(rows[best][column]) ? at + column : best), column);
    [rows[column], rows[pivot]] = [rows[pivot], rows[column]];
    if (Math.abs(rows[column][column]) < 1e-12) return new Array(size).fill(0);
    for (let row = 0; row < size; row++) {
      if (row === column) continue;
      const factor = rows[row][column] / rows[column][column];
      for (let at = column; at <= size; at++) rows[row][at] -= factor * rows[column][at];
    }
  }
  return rows.map((row, at) => row[size] / row[at]);
}

// --- a drawing placed as MNIST's authors placed their digits -------------------------------------------------------

function fitDrawing(image, spec, notes) {
  const picture = reduce(image);
  const { ink, threshold } = takeGroundOff(picture, notes);
  const box = findDrawing(ink, threshold, picture.width, picture.height, notes);
  const scale = Math.fround(255 / largest(ink));
  const [width, height] = [box.right - box.left, box.bottom - box.top];
  const cropped = new Uint8Array(width * height);
  for (let row = 0, at = 0; row < height; row++) {
    for (let column = 0; column < width; column++, at++) {
      cropped[at] = roundHalfEven(Math.fround(ink[(box.top + row) * picture.width + box.left + column] * scale));
    }
  }
  return place({ data: cropped, width, height, channels: 1 }, spec);
}

function takeGroundOff(picture, notes) {
  const uneven = measureGround(picture);
  const level = uneven ? 0 : Math.floor(frameMedian(sample(picture)));
  const ink = Float32Array.from(picture.data, (value, at) => Math.max(0, value - (uneven ? uneven.surface[at] : level)));
  if (uneven) {
    const most = Math.fround(percentile(ink, 99.9)); // one glossy pixel must not make all ink pale
    for (let at = 0; at < ink.length; at++) ink[at] = Math.min(ink[at], most);
  }
  const strongest = largest(ink);
  if (strongest <= 0) throw new PictureError("the picture is blank: nothing stands out from its ground");
  const share = INK_SHARE * strongest;
  if (!uneven) return { ink, threshold: share };
  const threshold = Math.max(share, INK_DEVIATIONS * uneven.noise);
  if (strongest <= threshold) throw new PictureError("the picture is blank: nothing stands out from its uneven ground");
  for (let at = 0; at < ink.length; at++) if (ink[at] < share / 2) ink[at] = 0;
  notes.push("uneven ground taken off");
  return { ink, threshold };
}

/** The box around the ink without specks. */
function findDrawing(ink, threshold, width, height, notes) {
  const runs = [];
  for (let row = 0; row < height; row++) {
    let start = -1;
    for (let column = 0; column <= width; column++) {
      const isInk = column < width && ink[row * width + column] > threshold;
      if (isInk && start < 0) start = column;
      if (!isInk && start >= 0) {
        runs.push({ row, start, end: column });
        start = -1;
      }
    }
  }
  const all = { top: runs[0].row, bottom: runs.at(-1).row + 1, left: Infinity, right: 0 };
  for (const { start, end } of runs) [all.left, all.right] = [Math.min(all.left, start), Math.max(all.right, end)];
  if (runs.length > MOST_RUNS) {
    notes.push(`${DOUBT}ink in very many pieces`);
    return all;
  }
  const pieces = joinRuns(runs);
  const heaviest = Math.max(...pieces.map((piece) => piece.mass));
  const kept = pieces.filter((piece) => piece.mass >= SPECK_SHARE * heaviest);
  if (kept.length < pieces.length) notes.push(`${pieces.length - kept.length} specks left out`);
  const drawings = countDrawings(kept.filter((piece) => piece.mass >= OWN_SHARE * heaviest));
  if (drawings > 1) notes.push(`${DOUBT}${drawings} drawings side by side`);
  return {
    top: Math.min(...kept.map((piece) => piece.top)),
    bottom: Math.max(...kept.map((piece) => piece.bottom)),
    left: Math.min(...kept.map((piece) => piece.left)),
    right: Math.max(...kept.map((piece) => piece.right)),
  };
}

/** How many of these pieces begin where all those to their left have ended. */
function countDrawings(pieces) {
  let [count, reach] = [0, -1];
  for (const { left, right } of [...pieces].sort((one, other) => one.left - other.left)) {
    if (left >= reach) count += 1;
    reach = Math.max(reach, right);
  }
  return count;
}

/** Join runs with those that they touch in the row above, corners included. */
function joinRuns(runs) {
  const parent = runs.map((_, at) => at);
  const root = (at) => {
    while (parent[at] !== at) at = parent[at] = parent[parent[at]];
    return at;
  };
  let above = [];
  let current = [];
  let row = -1;
  runs.forEach((run, at) => {
    if (run.row !== row) {
      above = run.row === row + 1 ? current : [];
      current = [];
      row = run.row;
    }
    for (const other of above) {
      if (runs[other].start <= run.end && runs[other].end >= run.start) parent[root(at)] = root(other);
    }
    current.push(at);
  });
  const pieces = new Map();
  runs.forEach((run, at) => {
    const piece = pieces.get(root(at)) ?? { top: run.row, bottom: 0, left: Infinity, right: 0, mass: 0 };
    piece.bottom = run.row + 1;
    piece.left = Math.min(piece.left, run.start);
    piece.right = Math.max(piece.right, run.end);
    piece.mass += run.end - run.start;
    pieces.set(root(at), piece);
  });
  return [...pieces.values()];
}

/** Scale ink into its box and put its centre of mass in the middle. */
function place(ink, spec) {
  const box = Math.max(1, roundHalfEven(Math.min(spec.height, spec.width) * MNIST_BOX_SHARE));
  const scale = box / Math.max(ink.width, ink.height);
  const [width, height] = [ink.width, ink.height].map((side) => Math.max(1, roundHalfEven(side * scale)));
  const scaled = resize(ink, width, height);
  const rows = new Float64Array(height);
  const columns = new Float64Array(width);
  scaled.data.forEach((value, at) => {
    rows[Math.floor(at / width)] += value;
    columns[at % width] += value;
  });
  const [top, left] = [offset(rows, spec.height), offset(columns, spec.width)];
  const data = new Uint8Array(spec.width * spec.height);
  for (let row = 0; row < height; row++) {
    data.set(scaled.data.subarray(row * width, (row + 1) * width), (top + row) * spec.width + left);
  }
  return { data, width: spec.width, height: spec.height, channels: 1 };
}

function offset(mass, side) {
  const total = mass.reduce((sum, value) => sum + value, 0);
  const centre = total ? mass.reduce((sum, value, at) => sum + value * at, 0) / total : mass.length / 2;
  return Math.min(Math.max(roundHalfEven(side / 2 - centre), 0), side - mass.length);
}

// --- sizes ---------------------------------------------------------------------------------------------------------

/** Average whole blocks, so that a stroke of a large photograph stays several pixels wide. */
function reduce(image) {
  const factor = Math.floor(Math.max(image.width, image.height) / LARGEST_SIDE);
  if (factor <= 1) return image;
  const [width, height] = [Math.ceil(image.width / factor), Math.ceil(image.height / factor)];
  const data = new Uint8Array(width * height);
  for (let row = 0, at = 0; row < height; row++) {
    const [top, bottom] = [row * factor, Math.min((row + 1) * factor, image.height)];
    for (let column = 0; column < width; column++, at++) {
      const [left, right] = [column * factor, Math.min((column + 1) * factor, image.width)];
      const count = (bottom - top) * (right - left);
      let sum = Math.floor(count / 2);
      for (let y = top; y < bottom; y++) for (let x = left; x < right; x++) sum += image.data[y * image.width + x];
      data[at] = Math.floor(sum / count);
    }
  }
  return { data, width, height, channels: 1 };
}

const PRECISION = 2 ** 22; // Pillow's fixed point for bytes

/** Resize with a triangle filter that widens where the picture shrinks, as Pillow does: rows, then columns. */
function resize(image, width, height) {
  const across = image.width === width ? image : resizeRows(image, width);
  if (across.height === height) return across;
  return transpose(resizeRows(transpose(across), height));
}

function resizeRows(image, width) {
  const { channels, height } = image;
  const scale = image.width / width;
  const reach = Math.max(scale, 1);
  const data = new Uint8Array(width * height * channels);
  for (let column = 0; column < width; column++) {
    const centre = (column + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const last = Math.min(image.width, Math.trunc(centre + reach + 0.5));
    const raw = Array.from({ length: last - first }, (_, at) => Math.max(0, 1 - Math.abs((first + at - centre + 0.5) * (1 / reach))));
    const total = raw.reduce((sum, value) => sum + value, 0);
    const weights = raw.map((value) => Math.trunc(0.5 + (value / total) * PRECISION));
    for (let row = 0; row < height; row++) {
      for (let channel = 0; channel < channels; channel++) {
        let sum = PRECISION / 2;
        weights.forEach((weight, at) => {
          sum += weight * image.data[(row * image.width + first + at) * channels + channel];
        });
        data[(row * width + column) * channels + channel] = Math.min(255, Math.max(0, Math.floor(sum / PRECISION)));
      }
    }
  }
  return { data, width, height, channels };
}

function transpose({ data, width, height, channels }) {
  const turned = new Uint8Array(data.length);
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      for (let channel = 0; channel < channels; channel++) {
        turned[(column * height + row) * channels + channel] = data[(row * width + column) * channels + channel];
      }
    }
  }
  return { data: turned, width: height, height: width, channels };
}

// --- numbers -------------------------------------------------------------------------------------------------------

function median(values) {
  const ordered = Float64Array.from(values).sort();
  const middle = ordered.length >> 1;
  return ordered.length % 2 ? ordered[middle] : (ordered[middle - 1] + ordered[middle]) / 2;
}

function percentile(values, percent) {
  const ordered = Float64Array.from(values).sort();
  const position = ((ordered.length - 1) * percent) / 100;
  const below = Math.floor(position);
  const above = Math.min(below + 1, ordered.length - 1);
  return ordered[below] + (ordered[above] - ordered[below]) * (position - below);
}

function largest(values) {
  return values.reduce((most, value) => Math.max(most, value), 0);
}

function dot(left, right) {
  return left.reduce((sum, value, at) => sum + value * right[at], 0);
}

function roundHalfEven(value) {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
