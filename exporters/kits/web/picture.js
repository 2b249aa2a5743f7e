// A file that somebody dropped, pasted or chose, as pixels.
import { PictureError } from "./prepare.js";

const MAX_FILE_BYTES = 64 * 2 ** 20;
const MAX_PIXELS = 40_000_000;
const SIGNATURES = [[0x89, 0x50, 0x4e, 0x47], [0xff, 0xd8, 0xff], [0x42, 0x4d], [0x47, 0x49, 0x46, 0x38], [0x52, 0x49, 0x46, 0x46]];

/**
 * Decode a still picture.
 * @param {Blob} file
 * @returns {Promise<import("./prepare.js").Picture>} RGBA
 * @throws {PictureError} it is none, or larger than a page should hold
 */
export async function readPicture(file) {
  if (file.size === 0) throw new PictureError("the file is empty");
  if (file.size > MAX_FILE_BYTES) throw new PictureError(`the file has ${file.size} bytes; the most is ${MAX_FILE_BYTES}`);
  const head = new Uint8Array(await file.slice(0, 64).arrayBuffer());
  if (!SIGNATURES.some((signature) => signature.every((byte, at) => head[at] === byte))) {
    throw new PictureError("the file is no picture: expected PNG, JPEG, WebP, BMP or GIF");
  }
  checkPixels(...pngSize(head)); // before anything is decoded, where the header is easily read
  let bitmap;
  try {
    bitmap = await createImageBitmap(file);
  } catch {
    throw new PictureError("the picture cannot be decoded: it is damaged or too large");
  }
  try {
    const { width, height } = bitmap;
    checkPixels(width, height);
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    return { data: context.getImageData(0, 0, width, height).data, width, height, channels: 4 };
  } finally {
    bitmap.close();
  }
}

function pngSize(head) {
  const view = new DataView(head.buffer);
  return head[0] === 0x89 && head.length >= 24 ? [view.getUint32(16), view.getUint32(20)] : [1, 1];
}

function checkPixels(width, height) {
  if (width * height > MAX_PIXELS) {
    throw new PictureError(`the picture has ${width} x ${height} pixels; the most is ${MAX_PIXELS}`);
  }
}
