// Sizes, to the byte as Pillow changes them, but for its order of rows and columns.

const LARGEST_SIDE = 512; // larger pictures are reduced by whole factors first
const PRECISION = 2 ** 22; // Pillow's fixed point for bytes

/** Average whole blocks, so that a stroke of a large photograph stays several pixels wide. */
export function reduce(image) {
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

/** Resize with a triangle filter that widens where the picture shrinks, as Pillow does: rows, then columns. */
export function resize(image, width, height) {
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
