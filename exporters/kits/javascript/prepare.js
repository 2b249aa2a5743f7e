// From a picture's pixels to exactly what the model takes: channels, polarity, size.
// It does what the exporting toolkit does to a picture, within one grey level: Pillow may resize rows or columns first.
import { DOUBT, fitDrawing, PictureError } from "./drawing.js";
import { isDarkOnLight } from "./ground.js";
import { resize } from "./resize.js";

export { DOUBT, PictureError };

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
  const before = `${image.height}x${image.width}`;
  if (spec.fit === "mnist" && image.channels === 1) {
    const isDark = spec.polarity === "dark-on-light" || (spec.polarity !== "light-on-dark" && isDarkOnLight(image));
    const fitted = fitDrawing(isDark ? invert(image) : image, spec, notes);
    image = isDark ? invert(fitted) : fitted;
  } else if (spec.fit === "stretch") {
    image = resize(image, spec.width, spec.height);
  } else {
    throw new PictureError(`the picture is ${before}; the model takes exactly ${spec.height}x${spec.width}`);
  }
  notes.push(`fitted ${before} -> ${spec.height}x${spec.width}`);
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
