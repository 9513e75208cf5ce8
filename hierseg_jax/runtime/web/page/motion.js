// Where the pixels of a video's frame were in the frame before, and how well the two agree: what
// motion.py does with OpenCV's optical flow, here with blocks that are matched from coarse to fine.
import { areaMeans, blurred } from "./averaging.js";
import { floatAxis } from "./sampling.js";

const BLOCK = 8; // pixels along each side
const AROUND = 2; // more on each side that are compared with a block's
const LEVELS = 3; // frames, each of half the sides of the one before
const REACH = 2; // pixels that a block may move along each axis on the coarsest level; 1 on others
const PAD = 2 ** LEVELS * REACH + BLOCK; // no comparison goes beyond it
const EVERY = 2; // how many rows of a block there are to one that is compared
const ALIKE = 1; // steps of 255 a pixel within which nothing better is sought
const NEARER = 0.05; // steps a pixel by which a place has to be better for each pixel of its way
const APART = 12; // steps of 255 at which trust is 1/e
const FLAT = 8; // steps within which there is nothing to see

/**
 * A frame as the network saw it, in grey, at its scores' size, but of half its sides at most.
 * @param {Uint8Array} input [H, W, 3], RGB.
 * @returns {{values: Float32Array, size: number[]}} [h, w].
 */
export function greyFrame(input, [H, W], [h, w]) {
  const luma = new Float32Array(H * W);
  for (let i = 0, k = 0; i < luma.length; i++, k += 3) {
    luma[i] = 0.299 * input[k] + 0.587 * input[k + 1] + 0.114 * input[k + 2];
  }
  const size = [Math.min(h, Math.ceil(H / 2)), Math.min(w, Math.ceil(W / 2))];
  return { values: areaMeans(luma, { start: 0, line: W, step: 1 }, [H, W], size), size };
}

/**
 * From the pixels of a frame back to those of the one before.
 * @param {{values, size}} before, now of `greyFrame`, of one size.
 * @returns {{size, x, y, trust}} Float32Arrays [h, w]: the way in pixels, and from 0 to 1 how much
 *   both frames show the same.
 */
export function motion(before, now) {
  const [pyramid, earlier] = [halved(now), halved(before)];
  let field = null;
  for (let level = pyramid.length - 1; level >= 0; level--) {
    field = matched(pyramid[level], earlier[level], field, level === 0);
  }
  const { size } = now;
  const [x, y] = [perPixel(field.x, field.grid, size), perPixel(field.y, field.grid, size)];
  return { size, x, y, trust: trusted(now, before, x, y) };
}

/** Mean trust where there is something to see; 1 where nothing is. */
export function agreement({ values, size: [h, w] }, trust) {
  let [sum, count] = [0, 0];
  for (let y = 0; y < h; y++) {
    for (let x = 0; x < w; x++) {
      let [least, most] = [Infinity, -Infinity];
      for (let j = Math.max(0, y - 1); j <= Math.min(h - 1, y + 1); j++) {
        for (let i = Math.max(0, x - 1); i <= Math.min(w - 1, x + 1); i++) {
          const value = values[j * w + i];
          if (value < least) least = value;
          if (value > most) most = value;
        }
      }
      if (most - least <= FLAT) continue;
      sum += trust[y * w + x];
      count++;
    }
  }
  return count ? sum / count : 1;
}

/** A motion by the pixels of another size. */
export function ofSize({ size, x, y, trust }, [H, W]) {
  const [h, w] = size;
  if (h === H && w === W) return { size, x, y, trust };
  const enlarged = (plane, scale) => stretched(plane, [h, w], [H, W]).map((value) => value * scale);
  return { size: [H, W], x: enlarged(x, W / w), y: enlarged(y, H / h), trust: enlarged(trust, 1) };
}

/** Where a motion leads: of every pixel the upper left of four, the others' steps, and shares. */
export function placesOf({ size: [h, w], x, y }) {
  const count = h * w;
  const places = { at: new Int32Array(count), right: new Uint8Array(count), below: new Int32Array(count) };
  const [across, down] = [new Float32Array(count), new Float32Array(count)];
  for (let j = 0, i = 0; j < h; j++) {
    for (let k = 0; k < w; k++, i++) {
      const [px, py] = [clamped(k + x[i], w), clamped(j + y[i], h)];
      const [left, top] = [Math.floor(px), Math.floor(py)];
      places.at[i] = top * w + left;
      places.right[i] = left + 1 < w ? 1 : 0;
      places.below[i] = top + 1 < h ? w : 0;
      across[i] = px - left;
      down[i] = py - top;
    }
  }
  return { ...places, across, down };
}

/** A plane of the frame before at these places: bilinear, its ends repeated. */
export function moved(plane, { at, right, below, across, down }, out = new Float32Array(at.length)) {
  for (let i = 0; i < at.length; i++) {
    const [a, b, r] = [at[i], at[i] + below[i], right[i]];
    const upper = plane[a] + (plane[a + r] - plane[a]) * across[i];
    const lower = plane[b] + (plane[b + r] - plane[b]) * across[i];
    out[i] = upper + (lower - upper) * down[i];
  }
  return out;
}

function clamped(place, side) {
  return Math.min(Math.max(place, 0), side - 1);
}

/** The frame, and that at half of its sides, and again. */
function halved(frame) {
  const frames = [frame];
  while (frames.length < LEVELS && Math.min(...frames.at(-1).size) >= 2 * BLOCK) {
    const { values, size } = frames.at(-1);
    const half = size.map((side) => Math.ceil(side / 2));
    const layout = { start: 0, line: size[1], step: 1 };
    frames.push({ values: areaMeans(values, layout, size, half), size: half });
  }
  return frames;
}

/** The way of every block; from twice that of the coarser frame's on, to parts of a pixel at last. */
function matched(now, before, coarser, last) {
  const [h, w] = now.size;
  const grid = [Math.ceil(h / BLOCK), Math.ceil(w / BLOCK)];
  const [x, y] = [new Float32Array(grid[0] * grid[1]), new Float32Array(grid[0] * grid[1])];
  const padded = paddedFrame(before);
  for (let row = 0, i = 0; row < grid[0]; row++) {
    for (let column = 0; column < grid[1]; column++, i++) {
      const from = coarser ? (row >> 1) * coarser.grid[1] + (column >> 1) : 0;
      const start = coarser ? [2 * coarser.x[from], 2 * coarser.y[from]] : [0, 0];
      const block = {
        top: Math.max(0, row * BLOCK - AROUND),
        left: Math.max(0, column * BLOCK - AROUND),
        bottom: Math.min(h, (row + 1) * BLOCK + AROUND),
        right: Math.min(w, (column + 1) * BLOCK + AROUND),
      };
      const apart = (dx, dy, most = Infinity) => difference(now, padded, block, dx, dy, most);
      const rows = Math.ceil((block.bottom - block.top) / EVERY);
      const pixels = rows * (block.right - block.left);
      [x[i], y[i]] = nearestTo(start, coarser ? 1 : REACH, apart, pixels, last);
    }
  }
  return { grid, x, y };
}

function nearestTo([startX, startY], reach, apart, pixels, last) {
  let [bestX, bestY, best] = [startX, startY, apart(startX, startY)];
  if (best <= ALIKE * pixels) return [bestX, bestY];
  for (let dy = -reach; dy <= reach; dy++) {
    for (let dx = -reach; dx <= reach; dx++) {
      const way = NEARER * pixels * (Math.abs(dx) + Math.abs(dy));
      const found = apart(startX + dx, startY + dy, best - way) + way;
      if (found < best) [bestX, bestY, best] = [startX + dx, startY + dy, found];
    }
  }
  if (!last) return [bestX, bestY];
  const middle = apart(bestX, bestY);
  return [
    bestX + vertex(apart(bestX - 1, bestY), middle, apart(bestX + 1, bestY)),
    bestY + vertex(apart(bestX, bestY - 1), middle, apart(bestX, bestY + 1)),
  ];
}

/** Where a parabola through three neighbours is lowest, half a pixel away at most. */
function vertex(one, middle, other) {
  const bend = one - 2 * middle + other;
  return bend > 1e-3 ? Math.min(Math.max((one - other) / (2 * bend), -0.5), 0.5) : 0;
}

/** Sum of differences of a block's pixels from those so far away before; at `most` it ends. */
function difference({ values, size: [, w] }, { pixels, line }, block, dx, dy, most) {
  let sum = 0;
  for (let y = block.top; y < block.bottom && sum < most; y += EVERY) {
    const [row, other] = [y * w, (y + dy + PAD) * line + dx + PAD];
    for (let x = block.left; x < block.right; x++) {
      const step = values[row + x] - pixels[other + x];
      sum += step < 0 ? -step : step;
    }
  }
  return sum;
}

/** With its outermost pixels repeated around it. */
function paddedFrame({ values, size: [h, w] }) {
  const line = w + 2 * PAD;
  const pixels = new Float32Array(line * (h + 2 * PAD));
  for (let y = -PAD, to = 0; y < h + PAD; y++) {
    const row = clamped(y, h) * w;
    for (let x = -PAD; x < w + PAD; x++) pixels[to++] = values[row + clamped(x, w)];
  }
  return { pixels, line };
}

/** Values of blocks, between their centres, as those of pixels. */
function perPixel(blocks, grid, [h, w]) {
  return stretched(blocks, grid, grid.map((count) => count * BLOCK), [h, w]);
}

/** A plane [h, w] at another size, of which the upper left part is kept: Float32Array. */
function stretched(plane, [h, w], [H, W], [keptRows, keptColumns] = [H, W]) {
  const [rows, columns] = [floatAxis(h, H), floatAxis(w, W)];
  const out = new Float32Array(keptRows * keptColumns);
  for (let y = 0, to = 0; y < keptRows; y++) {
    const [upper, lower, down] = [rows.low[y] * w, rows.high[y] * w, rows.share[y]];
    for (let x = 0; x < keptColumns; x++) {
      const [one, other, across] = [columns.low[x], columns.high[x], columns.share[x]];
      const first = plane[upper + one] + (plane[upper + other] - plane[upper + one]) * across;
      const second = plane[lower + one] + (plane[lower + other] - plane[lower + one]) * across;
      out[to++] = first + (second - first) * down;
    }
  }
  return out;
}

function trusted(now, before, x, y) {
  const [h, w] = now.size;
  const places = placesOf({ size: now.size, x, y });
  const apart = moved(before.values, places).map((value, i) => Math.abs(now.values[i] - value));
  const trust = blurred(apart, [h, w], 1).map((step) => Math.exp(-((step / APART) ** 2)));
  for (let j = 0, i = 0; j < h; j++) {
    for (let k = 0; k < w; k++, i++) {
      const [px, py] = [k + x[i], j + y[i]];
      if (px < -0.5 || px > w - 0.5 || py < -0.5 || py > h - 0.5) trust[i] = 0;
    }
  }
  return trust;
}
