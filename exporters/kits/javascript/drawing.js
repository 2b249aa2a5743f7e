// A drawing placed as MNIST's authors placed their digits.
import { frameMedian, measureGround, sample } from "./ground.js";
import { reduce, resize } from "./resize.js";

/** Something about a picture that its owner has to hear. */
export class PictureError extends Error {}

/** What a note begins with that gives a reason to doubt the answer. */
export const DOUBT = "doubtful: ";

const MNIST_BOX_SHARE = 20 / 28; // ink is scaled into this share of the image
const INK_SHARE = 0.2; // paler than this share of the strongest ink is noise
const INK_DEVIATIONS = 5; // on an uneven ground: so many deviations of the paper's texture
const SPECK_SHARE = 0.04; // a piece with less ink than this share of the largest is a speck
const OWN_SHARE = 0.35; // pieces of at least this share that lie beside one another are drawings of their own
const MOST_RUNS = 5000;

/** Place the ink of a picture, light on dark, in the middle of an image of the model's size. */
export function fitDrawing(image, spec, notes) {
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

function roundHalfEven(value) {
  const floor = Math.floor(value);
  const rest = value - floor;
  if (rest !== 0.5) return Math.round(value);
  return floor % 2 === 0 ? floor : floor + 1;
}
