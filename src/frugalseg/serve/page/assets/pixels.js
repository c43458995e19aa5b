/**
 * Pictures, scores and labels resized by the rules of `frugalseg.imaging.resize`, so that the page
 * gives the same class ids as `frugalseg segment`. Sizes are (width, height); pixels are row by row.
 */

// Pillow keeps its weights as integers of so many bits behind the point.
const WEIGHT_BITS = 22;
const HALF = 1 << (WEIGHT_BITS - 1);
const RGB = 3;
const RGBA = 4;

/**
 * For each new pixel along one side, which old ones it takes and by what integer weights: a
 * triangle that widens where the picture shrinks, which is Pillow's BILINEAR.
 *
 * @param {number} old
 * @param {number} wanted
 * @returns {{ first: Int32Array, count: Int32Array, weights: Int32Array, most: number }}
 */
function triangle(old, wanted) {
  const scale = old / wanted;
  const reach = Math.max(scale, 1);
  const most = Math.ceil(reach) * 2 + 1;
  const first = new Int32Array(wanted);
  const count = new Int32Array(wanted);
  const weights = new Int32Array(wanted * most);
  for (let at = 0; at < wanted; at++) {
    const centre = (at + 0.5) * scale;
    const from = Math.max(0, Math.trunc(centre - reach + 0.5));
    const until = Math.min(old, Math.trunc(centre + reach + 0.5));
    const shares = [];
    for (let source = from; source < until; source++) {
      shares.push(Math.max(0, 1 - Math.abs((source - centre + 0.5) * (1 / reach))));
    }
    const sum = shares.reduce((total, share) => total + share, 0);
    first[at] = from;
    count[at] = until - from;
    shares.forEach((share, k) => {
      weights[at * most + k] = Math.trunc(0.5 + (share / sum) * (1 << WEIGHT_BITS));
    });
  }
  return { first, count, weights, most };
}

/**
 * @param {Uint8ClampedArray} pixels  RGBA.
 * @returns {Uint8Array} RGB.
 */
function withoutAlpha(pixels) {
  const result = new Uint8Array((pixels.length / RGBA) * RGB);
  for (let from = 0, to = 0; to < result.length; from += RGBA, to += RGB) {
    result[to] = pixels[from];
    result[to + 1] = pixels[from + 1];
    result[to + 2] = pixels[from + 2];
  }
  return result;
}

/**
 * @param {Uint8Array} pixels  RGB.
 * @param {number} width
 * @param {number} height
 * @param {number} wanted
 * @returns {Uint8Array} RGB, `wanted` pixels wide.
 */
function resizeAcross(pixels, width, height, wanted) {
  if (width === wanted) return pixels;
  const { first, count, weights, most } = triangle(width, wanted);
  const result = new Uint8Array(wanted * height * RGB);
  let out = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < wanted; x++) {
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      let source = (y * width + first[x]) * RGB;
      for (let k = x * most; k < x * most + count[x]; k++, source += RGB) {
        red += pixels[source] * weights[k];
        green += pixels[source + 1] * weights[k];
        blue += pixels[source + 2] * weights[k];
      }
      result[out++] = Math.min(255, red >> WEIGHT_BITS);
      result[out++] = Math.min(255, green >> WEIGHT_BITS);
      result[out++] = Math.min(255, blue >> WEIGHT_BITS);
    }
  }
  return result;
}

/**
 * @param {Uint8Array} pixels  RGB.
 * @param {number} width
 * @param {number} height
 * @param {number} wanted
 * @returns {Uint8Array} RGB, `wanted` pixels high.
 */
function resizeDown(pixels, width, height, wanted) {
  if (height === wanted) return pixels;
  const { first, count, weights, most } = triangle(height, wanted);
  const row = width * RGB;
  const result = new Uint8Array(row * wanted);
  const sums = new Int32Array(row);
  for (let y = 0; y < wanted; y++) {
    sums.fill(HALF);
    for (let k = 0; k < count[y]; k++) {
      const weight = weights[y * most + k];
      const source = (first[y] + k) * row;
      for (let x = 0; x < row; x++) sums[x] += pixels[source + x] * weight;
    }
    for (let x = 0; x < row; x++) result[y * row + x] = Math.min(255, sums[x] >> WEIGHT_BITS);
  }
  return result;
}

/**
 * Resize a picture as Pillow does: bilinear, smoothed where it shrinks, to the byte.
 *
 * Each direction rounds, so their order matters. From its version 13 on Pillow begins with the rows
 * where a picture loses more than twice as many of them as of columns; found by trying 1,489 sizes.
 *
 * @param {Uint8ClampedArray} pixels  RGBA; alpha is dropped.
 * @param {number} width
 * @param {number} height
 * @param {number} toWidth
 * @param {number} toHeight
 * @returns {Uint8Array} RGB.
 */
export function resizePicture(pixels, width, height, toWidth, toHeight) {
  const plain = withoutAlpha(pixels);
  if (height > toHeight && height - toHeight > 2 * (width - toWidth)) {
    const flat = resizeDown(plain, width, height, toHeight);
    return resizeAcross(flat, width, toHeight, toWidth);
  }
  const narrow = resizeAcross(plain, width, height, toWidth);
  return resizeDown(narrow, toWidth, height, toHeight);
}

/**
 * RGB to grey (ITU-R 601 luma) where the network takes one channel.
 *
 * @param {Uint8Array} pixels  RGB.
 * @param {number} channels
 * @returns {Uint8Array}
 */
export function asChannels(pixels, channels) {
  if (channels === RGB) return pixels;
  return Uint8Array.from({ length: pixels.length / RGB }, (_, at) => {
    const [red, green, blue] = pixels.subarray(at * RGB, at * RGB + RGB);
    return Math.round(0.299 * red + 0.587 * green + 0.114 * blue);
  });
}

/**
 * For each new pixel along one side, its two neighbours among the old ones (half-pixel centres).
 *
 * @param {number} old
 * @param {number} wanted
 */
function neighbours(old, wanted) {
  const below = new Int32Array(wanted);
  const above = new Int32Array(wanted);
  const near = new Float32Array(wanted);
  const far = new Float32Array(wanted);
  for (let at = 0; at < wanted; at++) {
    const position = Math.min(Math.max((at + 0.5) * (old / wanted) - 0.5, 0), old - 1);
    below[at] = Math.floor(position);
    above[at] = Math.min(below[at] + 1, old - 1);
    far[at] = above[at] === below[at] ? 0 : position - below[at];
    near[at] = above[at] === below[at] ? 1 : 1 - (position - below[at]);
  }
  return { below, above, near, far };
}

/**
 * Enlarge class scores (bilinear) and give each pixel its best class, the first of equal ones.
 *
 * Every step is rounded to float32, in the order in which the runtime does it.
 *
 * @param {Float32Array} scores  (height, width, classes).
 * @param {{ width: number, height: number, classes: number }} size
 * @param {number} toWidth
 * @param {number} toHeight
 * @returns {Uint8Array}
 */
export function labelsAt(scores, { width, height, classes }, toWidth, toHeight) {
  const down = neighbours(height, toHeight);
  const across = neighbours(width, toWidth);
  const labels = new Uint8Array(toWidth * toHeight);
  const row = new Float32Array(width * classes);
  const { fround } = Math;
  for (let y = 0; y < toHeight; y++) {
    const top = down.below[y] * row.length;
    const bottom = down.above[y] * row.length;
    for (let k = 0; k < row.length; k++) {
      row[k] = fround(down.near[y] * scores[top + k]) + down.far[y] * scores[bottom + k];
    }
    for (let x = 0; x < toWidth; x++) {
      const left = across.below[x] * classes;
      const right = across.above[x] * classes;
      const near = across.near[x];
      const far = across.far[x];
      let best = -Infinity;
      let label = 0;
      for (let k = 0; k < classes; k++) {
        const score = fround(fround(near * row[left + k]) + far * row[right + k]);
        if (score > best) {
          best = score;
          label = k;
        }
      }
      labels[y * toWidth + x] = label;
    }
  }
  return labels;
}

/**
 * Resize labels: each pixel takes the label at its centre.
 *
 * @param {Uint8Array} labels
 * @param {number} width
 * @param {number} height
 * @param {number} toWidth
 * @param {number} toHeight
 * @returns {Uint8Array}
 */
export function resizeLabels(labels, width, height, toWidth, toHeight) {
  const result = new Uint8Array(toWidth * toHeight);
  for (let y = 0; y < toHeight; y++) {
    const row = Math.floor(((2 * y + 1) * height) / (2 * toHeight)) * width;
    for (let x = 0; x < toWidth; x++) {
      result[y * toWidth + x] = labels[row + Math.floor(((2 * x + 1) * width) / (2 * toWidth))];
    }
  }
  return result;
}

/**
 * Count the pixels of each class.
 *
 * @param {Uint8Array} labels
 * @param {number} classes
 * @returns {number[]}
 */
export function countLabels(labels, classes) {
  const counts = new Uint32Array(256);
  for (const label of labels) counts[label]++;
  return Array.from(counts.subarray(0, classes));
}
