// The ground that a picture's ink lies on, even or lit unevenly as paper in a photograph is; and which of both is darker.

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

/** Tell whether what stands out from the ground is darker than it. */
export function isDarkOnLight(grey) {
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

/** Every n-th row and column, so that a large picture costs no more than a small one. */
export function sample({ data, width, height }) {
  const step = Math.max(1, Math.floor(Math.min(width, height) / SAMPLED_SIDE));
  const [columns, rows] = [Math.ceil(width / step), Math.ceil(height / step)];
  const pixels = new Uint8Array(rows * columns);
  for (let row = 0, at = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++, at++) pixels[at] = data[row * step * width + column * step];
  }
  return { data: pixels, width: columns, height: rows, channels: 1 };
}

/** The brightness of the ground: the median of a picture's frame. */
export function frameMedian({ data, width, height }) {
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

/** The brightness of an unevenly lit ground under every pixel, or null where the ground is even. */
export function measureGround({ data, width, height }) {
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

function median(values) {
  const ordered = Float64Array.from(values).sort();
  const middle = ordered.length >> 1;
  return ordered.length % 2 ? ordered[middle] : (ordered[middle - 1] + ordered[middle]) / 2;
}

function dot(left, right) {
  return left.reduce((sum, value, at) => sum + value * right[at], 0);
}
