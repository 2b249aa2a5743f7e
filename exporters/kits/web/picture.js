// What a page or its user has, as pixels: a file that was chosen, dropped or pasted, an <img>, a <canvas>, a <video>.
import { PictureError } from "./prepare.js";

const MAX_FILE_BYTES = 128 * 2 ** 20;
const MAX_PIXELS = 64_000_000;
const SIGNATURES = [[0x89, 0x50, 0x4e, 0x47], [0xff, 0xd8, 0xff], [0x42, 0x4d], [0x47, 0x49, 0x46, 0x38], [0x52, 0x49, 0x46, 0x46]];

/**
 * Read the pixels of a still picture.
 * @param {Blob | ImageBitmapSource} source a file or another Blob; or an image, a canvas, a video's frame
 * @returns {Promise<import("./prepare.js").Picture>} RGBA
 * @throws {PictureError} it is none, it is not loaded, or it is larger than a page should hold
 */
export async function readPicture(source) {
  if (source instanceof Blob) await checkFile(source);
  const bitmap = await createImageBitmap(source).catch(() => {
    const isFile = source instanceof Blob;
    throw new PictureError(isFile ? "the picture cannot be decoded: it is damaged or too large" : "the picture is not loaded, or is none");
  });
  try {
    const { width, height } = bitmap;
    checkPixels(width, height);
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    return { data: context.getImageData(0, 0, width, height).data, width, height, channels: 4 };
  } catch (error) {
    if (error.name !== "SecurityError") throw error;
    throw new PictureError("the picture is of another site, which does not share its pixels with this page (CORS)");
  } finally {
    bitmap.close();
  }
}

async function checkFile(file) {
  if (file.size === 0) throw new PictureError("the file is empty");
  if (file.size > MAX_FILE_BYTES) throw new PictureError(`the file has ${file.size} bytes; the most is ${MAX_FILE_BYTES}`);
  const head = new Uint8Array(await file.slice(0, 64).arrayBuffer());
  if (!SIGNATURES.some((signature) => signature.every((byte, at) => head[at] === byte))) {
    throw new PictureError("the file is no picture: expected PNG, JPEG, WebP, BMP or GIF");
  }
  checkPixels(...pngSize(head)); // before anything is decoded, where the header is easily read
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
