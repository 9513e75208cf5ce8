// Pixels and scores at other sizes, to the same bits as OpenCV's INTER_LINEAR and INTER_AREA with
// which networks are trained. Canvases sample otherwise, and every browser in its own way.
import { halfToEven } from "./geometry.js";

const ONE = 2048; // of the whole numbers that bytes are weighed by

/**
 * The part of a picture that the network sees, at the size that it sees.
 * @param {Uint8ClampedArray} rgba of the picture, [H, W, 4].
 * @param {object} placement of `place`.
 * @param {{to_input: object}} resizing of the metadata.
 * @returns {Uint8Array} [h, w, 3], RGB, with bars where no picture is.
 */
export function networkInput(rgba, placement, resizing) {
  const { seen, filled, size } = placement;
  const most = resizing.to_input.averages_beyond;
  const times = (old, now) => (most ? Math.max(1, Math.ceil(old / (most * now))) : 1);
  const [down, across] = [times(seen.height, filled.height), times(seen.width, filled.width)];
  const input = new Uint8Array(size[0] * size[1] * 3);
  if (filled.height < size[0] || filled.width < size[1]) {
    const fill = resizing.to_input.fill_rgb;
    for (let i = 0; i < input.length; i++) input[i] = fill[i % 3];
  }
  const columns = byteAxis(seen.width, filled.width * across);
  const rows = byteAxis(seen.height, filled.height * down);
  const kept = [new Int32Array(3 * columns.low.length), new Int32Array(3 * columns.low.length)];
  const held = [-1, -1];
  const rowOf = (y, other) => {
    let slot = held.indexOf(y);
    if (slot < 0) {
      slot = held[0] === other ? 1 : 0;
      held[slot] = y;
      const start = 4 * ((seen.top + y) * placement.picture[1] + seen.left);
      weighColumns(rgba, start, columns, kept[slot]);
    }
    return kept[slot];
  };
  const sums = new Int32Array(3 * filled.width);
  for (let y = 0; y < rows.low.length; y++) {
    const [low, high] = [rows.low[y], rows.high[y]];
    const first = rowOf(low, high);
    addRows(first, rowOf(high, low), rows.one[y], rows.other[y], across, sums);
    if ((y + 1) % down) continue;
    const line = filled.top + (y + 1) / down - 1;
    input.set(means(sums, down, across), 3 * (line * size[1] + filled.left));
    sums.fill(0);
  }
  return input;
}

/** Of every new pixel of a side: the two old ones around it, and their weights, of ONE. */
function byteAxis(old, now) {
  const scale = 1 / (now / old);
  const axis = { low: [], high: [], one: [], other: [] };
  for (let i = 0; i < now; i++) {
    const at = Math.fround((i + 0.5) * scale - 0.5);
    const low = Math.floor(at);
    const share = Math.fround(at - low);
    axis.low.push(Math.max(low, 0));
    axis.high.push(Math.min(low + 1, old - 1));
    axis.one.push(halfToEven(Math.fround(1 - share) * ONE));
    axis.other.push(halfToEven(share * ONE));
  }
  return Object.fromEntries(Object.entries(axis).map(([key, list]) => [key, Int32Array.from(list)]));
}

function weighColumns(rgba, start, { low, high, one, other }, out) {
  for (let x = 0, to = 0; x < low.length; x++, to += 3) {
    const [a, b, p, q] = [start + 4 * low[x], start + 4 * high[x], one[x], other[x]];
    out[to] = (rgba[a] * p + rgba[b] * q) >> 4;
    out[to + 1] = (rgba[a + 1] * p + rgba[b + 1] * q) >> 4;
    out[to + 2] = (rgba[a + 2] * p + rgba[b + 2] * q) >> 4;
  }
}

/** Adds a row of bytes between two to sums of `across` neighbours each. */
function addRows(first, second, p, q, across, sums) {
  for (let to = 0, from = 0; to < sums.length; to += 3) {
    for (let i = 0; i < across; i++, from += 3) {
      sums[to] += (((p * first[from]) >> 16) + ((q * second[from]) >> 16) + 2) >> 2;
      sums[to + 1] += (((p * first[from + 1]) >> 16) + ((q * second[from + 1]) >> 16) + 2) >> 2;
      sums[to + 2] += (((p * first[from + 2]) >> 16) + ((q * second[from + 2]) >> 16) + 2) >> 2;
    }
  }
}

/** A half is rounded up of 2 x 2 pixels, else to the even number. */
function means(sums, down, across) {
  if (down * across === 1) return sums;
  if (down === 2 && across === 2) return sums.map((sum) => (sum + 2) >> 2);
  const part = Math.fround(1 / (down * across));
  return sums.map((sum) => halfToEven(Math.fround(sum * part)));
}

/** As `byteAxis`, for numbers that are weighed as float32: `share` is the weight of the second. */
export function floatAxis(old, now) {
  const axis = { low: new Int32Array(now), high: new Int32Array(now), share: new Float32Array(now) };
  for (let i = 0; i < now; i++) {
    const at = (i + 0.5) * (old / now) - 0.5;
    const low = Math.floor(at);
    axis.low[i] = Math.max(low, 0);
    axis.high[i] = Math.min(low + 1, old - 1);
    axis.share[i] = at - low;
  }
  return axis;
}

/** A row of uint16 from `start` on, at another length: float32. */
export function stretchRow(plane, start, { low, high, share }, out) {
  for (let x = 0; x < out.length; x++) {
    const a = plane[start + low[x]];
    out[x] = a + (plane[start + high[x]] - a) * share[x];
  }
}

/** A plane of uint16 [h, w] at another size, rounded to whole numbers. */
export function stretchPlane(plane, [h, w], [H, W]) {
  const [rows, columns] = [floatAxis(h, H), floatAxis(w, W)];
  const out = new Uint16Array(H * W);
  const [first, second] = [new Float32Array(W), new Float32Array(W)];
  for (let y = 0; y < H; y++) {
    stretchRow(plane, rows.low[y] * w, columns, first);
    stretchRow(plane, rows.high[y] * w, columns, second);
    for (let x = 0; x < W; x++) {
      const step = Math.fround(second[x] - first[x]) * rows.share[y];
      out[y * W + x] = halfToEven(Math.fround(first[x] + step));
    }
  }
  return out;
}
