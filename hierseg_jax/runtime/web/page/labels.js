// The class of every pixel of a picture: scores are brought to the picture's size, then decoded.
import { floatAxis, stretchPlane, stretchRow } from "./sampling.js";

export const UNSEEN = 255;
const TO_WHOLE = 1.5 * 2 ** 52; // added to a number, rounds it to a whole one, a half to the even

/**
 * Leaf classes at the picture's size.
 * @param {Uint16Array} planes [C, h, w] of the output `scores`.
 * @param {number[]} shape [C, h, w].
 * @param {object} placement of `place`.
 * @param {object} model of model.json.
 * @returns {Uint8Array} [H, W]; UNSEEN where the network saw nothing.
 */
export function leafLabels(planes, shape, placement, model) {
  const parts = cutBars(planes, shape, placement);
  const { seen } = placement;
  const decode = model.decoding === "top_down" ? topDown(model) : firstGreatest;
  const labels = decode(parts, [seen.height, seen.width]);
  return withinPicture(labels, placement);
}

/** Label maps of a file that gives no scores, in blocks: [h, w] -> [H, W]. */
export function enlargedLabels(map, placement) {
  const { size, seen, filled, picture } = placement;
  const at = (i, old, now) => Math.floor(((2 * i + 1) * old) / (2 * now));
  const labels = new Uint8Array(seen.height * seen.width);
  for (let y = 0, to = 0; y < seen.height; y++) {
    const row = (filled.top + at(y, filled.height, seen.height)) * size[1] + filled.left;
    for (let x = 0; x < seen.width; x++) labels[to++] = map[row + at(x, filled.width, seen.width)];
  }
  return withinPicture(labels, { seen, picture });
}

/** Scores in [0, 1], float32, as the output `scores` has them: logarithms in uint16. */
export function logPlanes(scores, { floor, steps }) {
  const [least, step] = [Math.fround(Math.exp(floor)), Math.fround(-steps / floor)];
  return Uint16Array.from(scores, (score) => {
    const log = Math.fround(Math.log(score > least ? score : least));
    const number = Math.fround(Math.fround(log * step) + Math.fround(steps + 0.5));
    return Math.min(Math.max(number, 0), steps);
  });
}

/** A level's classes of leaf classes. */
export function levelLabels(leaves, { leaf_to_class: toClass }) {
  if (toClass.every((own, leaf) => own === leaf)) return leaves;
  const table = new Uint8Array(256);
  table.set(toClass);
  table[UNSEEN] = UNSEEN;
  const labels = new Uint8Array(leaves.length);
  for (let i = 0; i < leaves.length; i++) labels[i] = table[leaves[i]];
  return labels;
}

/** How many pixels every class has. */
export function countLabels(labels, count) {
  const found = new Uint32Array(256);
  for (let i = 0; i < labels.length; i++) found[labels[i]]++;
  return Array.from(found.subarray(0, count));
}

/** Planes of what the picture fills of the input: {planes, shape}. */
export function cutBars(planes, [count, h, w], { size, filled }) {
  if (filled.height === size[0] && filled.width === size[1]) return { planes, shape: [count, h, w] };
  const { top, left, height, width } = filled;
  const cut = new Uint16Array(count * height * width);
  for (let c = 0, to = 0; c < count; c++) {
    let plane = planes.subarray(c * h * w, (c + 1) * h * w);
    // Bars may end within a cell.
    if (h !== size[0] || w !== size[1]) plane = stretchPlane(plane, [h, w], size);
    for (let y = top; y < top + height; y++, to += width) {
      cut.set(plane.subarray(y * size[1] + left, y * size[1] + left + width), to);
    }
  }
  return { planes: cut, shape: [count, height, width] };
}

/** Rows of the planes at another width, two of each kept. */
function stretchedRows({ planes, shape: [count, h, w] }, width) {
  const columns = floatAxis(w, width);
  const kept = Array.from({ length: 2 * count }, () => new Float32Array(width));
  const held = new Int32Array(2 * count).fill(-1);
  // Neighbours lie in slots of their own, as one is even.
  return (c, y) => {
    const slot = 2 * c + (y % 2);
    if (held[slot] !== y) {
      held[slot] = y;
      stretchRow(planes, (c * h + y) * w, columns, kept[slot]);
    }
    return kept[slot];
  };
}

/** The first class with the greatest score. */
function firstGreatest(parts, [H, W]) {
  const [count, h, w] = parts.shape;
  const rows = floatAxis(h, H);
  const rowOf = stretchedRows(parts, W);
  const reached = greaterThanFirst(parts, W / w);
  const labels = new Uint8Array(H * W);
  const best = new Float64Array(W);
  for (let y = 0, start = 0; y < H; y++, start += W) {
    const [low, high, share] = [rows.low[y], rows.high[y], rows.share[y]];
    for (let c = 0; c < count; c++) {
      const [one, other] = [2 * (c * h + low), 2 * (c * h + high)];
      const from = c ? Math.min(reached[one], reached[other]) : 0;
      const to = c ? Math.max(reached[one + 1], reached[other + 1]) : W;
      if (from >= to) continue;
      const [first, second] = [rowOf(c, low), rowOf(c, high)];
      for (let x = from; x < to; x++) {
        const step = Math.fround(second[x] - first[x]) * share;
        const score = Math.fround(first[x] + step) + TO_WHOLE;
        if (c === 0) best[x] = score;
        else if (score > best[x]) {
          best[x] = score;
          labels[start + x] = c;
        }
      }
    }
  }
  return labels;
}

/**
 * Of every class and row, from which to which pixel (of a width `scale` times as great) it may be
 * above the first class: where it is above at no point around a pixel, it is not above there.
 */
function greaterThanFirst({ planes, shape: [count, h, w] }, scale) {
  const reached = new Int32Array(2 * count * h);
  const width = Math.round(w * scale);
  for (let c = 0; c < count; c++) {
    for (let y = 0; y < h; y++) {
      const [start, first] = [(c * h + y) * w, y * w];
      let [left, right] = [0, w - 1];
      while (left < w && planes[start + left] <= planes[first + left]) left++;
      while (right > left && planes[start + right] <= planes[first + right]) right--;
      const place = 2 * (c * h + y);
      const found = left < w;
      reached[place] = found ? Math.max(0, Math.floor((left - 0.5) * scale) - 1) : width;
      reached[place + 1] = found ? Math.min(width, Math.ceil((right + 1.5) * scale) + 1) : 0;
    }
  }
  return reached;
}

/** The best class at the coarsest level, then the best of its children, and so on. */
function topDown(model) {
  const [scoreOf, families] = [scoreTable(model.scores), familiesOf(model)];
  return (parts, [H, W]) => {
    const [count, h] = parts.shape;
    const rows = floatAxis(h, H);
    const rowOf = stretchedRows(parts, W);
    const scores = Array.from({ length: count }, () => new Float32Array(W));
    const labels = new Uint8Array(H * W);
    for (let y = 0; y < H; y++) {
      for (let c = 0; c < count; c++) {
        const [first, second] = [rowOf(c, rows.low[y]), rowOf(c, rows.high[y])];
        for (let x = 0; x < W; x++) {
          const step = Math.fround(second[x] - first[x]) * rows.share[y];
          const number = Math.fround(first[x] + step) + TO_WHOLE - TO_WHOLE;
          scores[c][x] = scoreOf[number];
        }
      }
      for (let x = 0; x < W; x++) labels[y * W + x] = descend(families, scores, x);
    }
    return labels;
  };
}

/** Scores in [0, 1] of all whole numbers that stand for them. */
export function scoreTable({ floor, steps }) {
  return Float32Array.from({ length: steps + 1 }, (_, x) =>
    Math.exp(Math.fround(Math.fround(Math.fround(x / steps) - 1) * Math.fround(-floor))),
  );
}

/** Of every class of every level: its leaves, and its parent's number. */
export function familiesOf({ levels }) {
  return levels.map((level, k) =>
    level.class_names.map((_, v) => {
      const leaves = level.leaf_to_class.flatMap((own, leaf) => (own === v ? [leaf] : []));
      return { leaves, parent: k ? levels[k - 1].leaf_to_class[leaves[0]] : 0 };
    }),
  );
}

/** The leaf of pixel x of scores by class. */
export function descend(families, scores, x) {
  let chosen = 0;
  for (const classes of families) {
    let [best, pick] = [-2, 0];
    for (let v = 0; v < classes.length; v++) {
      const { leaves, parent } = classes[v];
      let score = parent === chosen ? 0 : -1;
      if (score === 0) for (const leaf of leaves) score = Math.fround(score + scores[leaf][x]);
      if (score > best) [best, pick] = [score, v];
    }
    chosen = pick;
  }
  return chosen;
}

export function withinPicture(part, { seen, picture: [H, W] }) {
  if (seen.height === H && seen.width === W) return part;
  const labels = new Uint8Array(H * W).fill(UNSEEN);
  for (let y = 0; y < seen.height; y++) {
    const row = part.subarray(y * seen.width, (y + 1) * seen.width);
    labels.set(row, (seen.top + y) * W + seen.left);
  }
  return labels;
}
