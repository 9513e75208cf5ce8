// Borders that follow the picture's edges, by a guided filter: what data/guided_labels.py does, with
// its numbers and its names, to a rounding. That file has the why.
import { areaMeans, blurred } from "./averaging.js";
import { halfToEven } from "./geometry.js";
import { cutBars, descend, familiesOf, scoreTable, withinPicture } from "./labels.js";

const [CELL, REACH, NOISE, COARSE, MOST_AROUND, NEAR, TILE] = [2, 4, 1e-3, 1.25, 127, 0.3, 96];

/** As `leafLabels`; `rgba` are the picture's pixels, [H, W, 4]. */
export function guidedLabels(planes, shape, placement, model, rgba) {
  const bySums = model.decoding === "top_down";
  const { seen, filled, picture } = placement;
  const { scores, classes, cells } = closeScores(cutBars(planes, shape, placement), filled, model, bySums);
  const radius = Math.max(1, halfToEven((REACH * cells[1]) / filled.width));
  const functions = functionsOf(scores, shrunk(rgba, placement, cells), cells, radius);
  const close = closeCells(scores);
  const families = familiesOf(model);
  const labels = new Uint8Array(seen.height * seen.width);
  const mixed = [];
  const columns = partsOf(seen.width, cells[1], radius);
  for (const rows of partsOf(seen.height, cells[0], radius)) {
    for (const part of columns) {
      const sought = [...scores.keys()].filter((k) => bySums || isNear(close[k], cells, rows, part));
      if (bySums || sought.length > 1) mixed.push([rows, part]);
      const take = taking(functions, sought, bySums, cells, rows, part);
      for (let i = 0; i < rows.low.length; i++) {
        const y = rows.start + i;
        const found = take(i, rgba, 4 * ((seen.top + y) * picture[1] + seen.left + part.start));
        const to = y * seen.width + part.start;
        for (let x = 0; x < part.low.length; x++) {
          labels[to + x] = bySums ? descend(families, found, x) : classes[sought[furthestAhead(found, x)]];
        }
      }
    }
  }
  const scale = Math.min(seen.width / filled.width, seen.height / filled.height);
  if (scale < COARSE) return withinPicture(labels, placement);
  const around = Math.min(Math.max(1, Math.floor(scale / 2)), MOST_AROUND);
  return withinPicture(withoutSpecks(labels, seen, mixed, around), placement);
}

/** In these parts the most frequent label around each pixel; of several, the least number. */
function withoutSpecks(labels, { width, height }, parts, radius) {
  const clean = labels.slice();
  for (const [rows, columns] of parts) {
    const [top, left] = [rows, columns].map(({ start }) => Math.max(0, start - radius));
    const [bottom, right] = [[rows, height], [columns, width]].map(([{ start, low }, side]) => {
      return Math.min(side, start + low.length + radius);
    });
    const [h, w] = [bottom - top, right - left];
    const around = new Uint8Array(h * w);
    for (let y = 0; y < h; y++) {
      const from = (top + y) * width + left;
      around.set(labels.subarray(from, from + w), y * w);
    }
    const [most, found] = [new Float32Array(h * w), new Uint8Array(h * w)];
    for (const number of [...new Set(around)].sort((one, other) => one - other)) {
      const share = blurred(around.map((label) => Number(label === number)), [h, w], radius);
      for (let i = 0; i < share.length; i++) {
        if (share[i] > most[i]) [most[i], found[i]] = [share[i], number];
      }
    }
    for (let y = rows.start; y < rows.start + rows.low.length; y++) {
      const from = (y - top) * w + columns.start - left;
      clean.set(found.subarray(from, from + columns.low.length), y * width + columns.start);
    }
  }
  return clean;
}

/** 0, of the first class, or the number of the one that is most ahead of it. */
function furthestAhead(ahead, x) {
  let [best, pick] = [0, 0];
  for (let k = 0; k < ahead.length; k++) if (ahead[k][x] > best) [best, pick] = [ahead[k][x], k + 1];
  return pick;
}

/** Scores of the classes that are likely somewhere, or of `every` one: Float32Array [h, w] each. */
function closeScores({ planes, shape: [count, h, w] }, filled, model, every) {
  const { floor, steps } = model.scores;
  const nearSteps = Math.floor((Math.log(NEAR) / floor) * steps);
  const least = new Uint16Array(h * w);
  const planeOf = (c) => planes.subarray(c * h * w, (c + 1) * h * w);
  const numbers = [...Array(count).keys()];
  for (const c of numbers) planeOf(c).forEach((step, i) => step > least[i] && (least[i] = step));
  for (let i = 0; i < h * w; i++) least[i] -= Math.min(least[i], nearSteps);
  const classes = numbers.filter((c) => every || reaches(planeOf(c), least));
  const cells = [h, w].map((side, axis) => {
    return Math.min(side, Math.max(1, Math.floor([filled.height, filled.width][axis] / CELL)));
  });
  const scoreOf = scoreTable(model.scores);
  const scores = classes.map((c) => {
    const score = new Float32Array(planeOf(c)).map((step) => scoreOf[step]);
    if (cells[0] === h && cells[1] === w) return score;
    return areaMeans(score, { start: 0, line: w, step: 1 }, [h, w], cells);
  });
  return { scores, classes, cells };
}

function reaches(plane, least) {
  for (let i = 0; i < plane.length; i++) if (plane[i] >= least[i]) return true;
  return false;
}

/** The picture's channels, a pixel a cell, from 0 to 1. */
function shrunk(rgba, { seen, picture }, cells) {
  const start = 4 * (seen.top * picture[1] + seen.left);
  const halved = seen.height === 2 * cells[0] && seen.width === 2 * cells[1];
  const whole = halved ? (mean) => Math.floor(mean + 0.5) : halfToEven; // as `means` in sampling.js
  return [0, 1, 2].map((channel) => {
    const layout = { start: start + channel, line: 4 * picture[1], step: 4 };
    const means = areaMeans(rgba, layout, [seen.height, seen.width], cells);
    return means.map((mean) => whole(mean) / 255);
  });
}

/** Whether a class is near the greatest score, by class and cell. */
function closeCells(scores) {
  const most = new Float32Array(scores[0].length);
  for (const score of scores) {
    for (let i = 0; i < most.length; i++) most[i] = Math.max(most[i], score[i]);
  }
  return scores.map((score) => score.map((one, i) => Number(one >= Math.fround(NEAR * most[i]))));
}

function isNear(close, [h, w], rows, columns) {
  for (let y = rows.near[0]; y < Math.min(rows.near[1], h); y++) {
    for (let x = columns.near[0]; x < Math.min(columns.near[1], w); x++) if (close[y * w + x]) return true;
  }
  return false;
}

/** Of every class and cell: factors of the channels as bytes, and a constant. */
function functionsOf(scores, guide, cells, radius) {
  const count = cells[0] * cells[1];
  const mean = (plane) => blurred(plane, cells, radius);
  const product = (one, other) => one.map((value, i) => value * other[i]);
  const means = guide.map(mean);
  const covariance = ([i, j]) => {
    return mean(product(guide[i], guide[j])).map((value, n) => value - means[i][n] * means[j][n]);
  };
  const [a, b, c, d, e, f] = [[0, 0], [0, 1], [0, 2], [1, 1], [1, 2], [2, 2]].map(covariance);
  // The inverse of the symmetric matrix of a, b, c; b, d, e; c, e, f.
  const inverse = new Float32Array(6 * count);
  for (let n = 0; n < count; n++) {
    const [p, q, r, s, t, u] = [a[n] + NOISE, b[n], c[n], d[n] + NOISE, e[n], f[n] + NOISE];
    const minors = [s * u - t * t, r * t - q * u, q * t - r * s, p * u - r * r, q * r - p * t, p * s - q * q];
    const determinant = p * minors[0] + q * minors[1] + r * minors[2];
    for (let i = 0; i < 6; i++) inverse[6 * n + i] = minors[i] / determinant;
  }
  return scores.map((score) => {
    const rest = mean(score);
    const scoreMean = rest.slice();
    const together = guide.map((channel, i) => {
      return mean(product(score, channel)).map((value, n) => value - scoreMean[n] * means[i][n]);
    });
    const factors = [[0, 1, 2], [1, 3, 4], [2, 4, 5]].map((places, i) => {
      const factor = new Float32Array(count);
      for (let n = 0; n < count; n++) {
        for (let j = 0; j < 3; j++) factor[n] += inverse[6 * n + places[j]] * together[j][n];
        rest[n] -= factor[n] * means[i][n];
      }
      return mean(factor).map((value) => value / 255);
    });
    return [...factors, mean(rest)];
  });
}

/** Parts of a side: their pixels, cells on both sides of each, and cells that have a say in these. */
function partsOf(pixels, cells, radius) {
  const count = Math.max(1, halfToEven(pixels / TILE));
  return Array.from({ length: count }, (_, part) => {
    const [start, stop] = [part, part + 1].map((edge) => Math.floor((pixels * edge) / count));
    const [low, share] = [new Int32Array(stop - start), new Float32Array(stop - start)];
    for (let i = 0; i < low.length; i++) {
      const at = Math.min(Math.max((start + i + 0.5) * (cells / pixels) - 0.5, 0), cells - 1);
      low[i] = Math.min(Math.floor(at), Math.max(cells - 2, 0));
      share[i] = at - low[i];
    }
    const last = Math.min(low.at(-1) + 2, cells);
    const near = [Math.max(0, low[0] - 2 * radius), last + 2 * radius];
    return { start, low, share, near, first: low[0], count: last - low[0] };
  });
}

/**
 * Functions of a part's classes, between cells: `take(i, rgba, from)` gives, of the part's row i
 * whose pixels begin there, every class's score, or but the first's how far it is ahead of that.
 */
function taking(functions, sought, bySums, [, w], rows, columns) {
  const taken = bySums ? sought : sought.slice(1);
  const first = bySums ? null : functions[sought[0]];
  const width = columns.low.length;
  const found = taken.map(() => new Float32Array(width));
  const line = new Float32Array(4 * (columns.count + 1)); // one more cell, where there is but one
  return (i, rgba, from) => {
    const upper = rows.low[i] * w + columns.first;
    const lower = rows.share[i] > 0 ? upper + w : upper;
    taken.forEach((k, number) => {
      for (let channel = 0; channel < 4; channel++) {
        const [own, base] = [functions[k][channel], first?.[channel]];
        for (let x = 0; x < columns.count; x++) {
          const [above, below] = base
            ? [own[upper + x] - base[upper + x], own[lower + x] - base[lower + x]]
            : [own[upper + x], own[lower + x]];
          line[4 * x + channel] = above + (below - above) * rows.share[i];
        }
      }
      const out = found[number];
      for (let x = 0, at = from; x < width; x++, at += 4) {
        const [a, share] = [4 * (columns.low[x] - columns.first), columns.share[x]];
        const [red, green, blue] = [rgba[at], rgba[at + 1], rgba[at + 2]];
        const left = line[a] * red + line[a + 1] * green + line[a + 2] * blue + line[a + 3];
        const right = line[a + 4] * red + line[a + 5] * green + line[a + 6] * blue + line[a + 7];
        out[x] = left + (right - left) * share;
      }
    });
    return found;
  };
}
