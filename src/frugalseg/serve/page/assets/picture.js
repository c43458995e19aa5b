/** Files to pixels and back, by what the browser brings for it. */

import { Problem } from "./problem.js";

/** @import { Label, LabelMap } from "./types.js" */

const THUMBNAIL = 200;
const MAX_PIXELS = 64_000_000; // as `frugalseg.imaging.read`
const ALL_CHANNELS = 4;

/**
 * Decode a picture, upright and with its pixels as they are in the file: Pillow ignores colour
 * profiles too.
 *
 * @param {Blob} file
 * @returns {Promise<ImageBitmap>}
 */
export async function decodePicture(file) {
  const bitmap = await createImageBitmap(file, {
    imageOrientation: "from-image",
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  }).catch(() => {
    throw new Problem(
      "This is not a picture that the browser can read",
      "Expected a JPEG, PNG, BMP or WebP file that is not damaged.",
    );
  });
  if (bitmap.width * bitmap.height > MAX_PIXELS) {
    const size = `${bitmap.width} x ${bitmap.height}`;
    bitmap.close();
    throw new Problem("The picture is too large", `${size} pixels; at most 64 million are taken.`);
  }
  return bitmap;
}

/**
 * Read class ids from a PNG whose grey values they are.
 *
 * @param {Blob} png
 * @returns {Promise<LabelMap>}
 */
export async function decodeLabels(png) {
  const bitmap = await createImageBitmap(png, {
    colorSpaceConversion: "none",
    premultiplyAlpha: "none",
  });
  const { width, height } = bitmap;
  const pixels = pixelsOf(bitmap);
  bitmap.close();
  const labels = new Uint8Array(width * height);
  for (let at = 0; at < labels.length; at++) labels[at] = pixels[at * ALL_CHANNELS];
  return { labels, width, height };
}

/**
 * @param {ImageBitmap} bitmap
 * @returns {Uint8ClampedArray} RGBA.
 */
export function pixelsOf(bitmap) {
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (context === null) throw new Problem("The browser has no memory left for this picture");
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height).data;
}

/**
 * Paint class ids in their colours; hidden classes, and ids that are none, stay transparent.
 *
 * @param {LabelMap} map
 * @param {Label[]} classes
 * @param {ReadonlySet<number>} hidden
 * @param {{ width: number, height: number }} size  The size to paint at: each pixel takes the
 *   class at its centre.
 * @returns {ImageData}
 */
export function paintLabels({ labels, width, height }, classes, hidden, size) {
  const table = new Uint8ClampedArray(256 * ALL_CHANNELS);
  for (const { id, color } of classes) {
    if (hidden.has(id)) continue;
    const value = Number.parseInt(color.slice(1), 16);
    table.set([value >> 16, (value >> 8) & 255, value & 255, 255], id * ALL_CHANNELS);
  }
  const colors = new Uint32Array(table.buffer);
  const image = new ImageData(size.width, size.height);
  const painted = new Uint32Array(image.data.buffer);
  for (let y = 0, at = 0; y < size.height; y++) {
    const row = Math.floor(((2 * y + 1) * height) / (2 * size.height)) * width;
    for (let x = 0; x < size.width; x++) {
      const column = Math.floor(((2 * x + 1) * width) / (2 * size.width));
      painted[at++] = colors[labels[row + column]];
    }
  }
  return image;
}

/**
 * @param {ImageBitmap} bitmap
 * @returns {Promise<Blob>} A small JPEG.
 */
export async function thumbnailOf(bitmap) {
  const scale = Math.min(1, THUMBNAIL / Math.min(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale));
  const height = Math.max(1, Math.round(bitmap.height * scale));
  const canvas = new OffscreenCanvas(width, height);
  canvas.getContext("2d")?.drawImage(bitmap, 0, 0, width, height);
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.8 });
}

/**
 * The picture with the colours of the classes over it, at its full size.
 *
 * @param {ImageBitmap} bitmap
 * @param {LabelMap} map
 * @param {Label[]} classes
 * @param {ReadonlySet<number>} hidden
 * @param {number} opacity  0 to 1.
 * @returns {Promise<Blob>} PNG.
 */
export async function renderOverlay(bitmap, map, classes, hidden, opacity) {
  const colors = await createImageBitmap(paintLabels(map, classes, hidden, map));
  const canvas = new OffscreenCanvas(map.width, map.height);
  const context = canvas.getContext("2d");
  if (context === null) throw new Problem("The browser has no memory left for this picture");
  context.drawImage(bitmap, 0, 0);
  context.globalAlpha = opacity;
  context.drawImage(colors, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}
