// Means over areas, as OpenCV's INTER_AREA and `blur` have them, to a rounding.

/**
 * A plane at another size, a mean over what each of its pixels covers.
 * @param {ArrayLike<number>} data with the pixel (x, y) at `start + y * line + x * step`.
 * @param {{start: number, line: number, step: number}} layout
 * @returns {Float32Array} [H, W].
 */
export function areaMeans(data, { start, line, step }, [h, w], [H, W]) {
  // Where either side grows OpenCV does otherwise along both.
  const axis = h >= H && w >= W ? coveredPixels : nearestTwo;
  const [rows, columns] = [axis(h, H), axis(w, W)];
  const out = new Float32Array(H * W);
  for (let Y = 0; Y < H; Y++) {
    for (let i = rows.begin[Y], y = rows.from[Y]; i < rows.begin[Y + 1]; i++, y++) {
      const [row, weight] = [start + y * line, rows.weights[i]];
      for (let X = 0; X < W; X++) {
        const end = columns.begin[X + 1];
        let [sum, at] = [0, row + columns.from[X] * step];
        for (let j = columns.begin[X]; j < end; j++, at += step) sum += columns.weights[j] * data[at];
        out[Y * W + X] += weight * sum;
      }
    }
  }
  return out;
}

/** Of every new pixel of a side: the first old one that it covers, and the weights from there on. */
function coveredPixels(old, now) {
  const scale = old / now;
  return weighing(now, (i) => {
    const [begin, end] = [i * scale, Math.min((i + 1) * scale, old)];
    const from = Math.floor(begin);
    const weights = [];
    for (let s = from; s < end; s++) {
      weights.push((Math.min(s + 1, end) - Math.max(s, begin)) / (end - begin));
    }
    return [from, weights];
  });
}

function nearestTwo(old, now) {
  return weighing(now, (i) => {
    const from = Math.floor((i * old) / now);
    const beyond = i + 1 - ((from + 1) * now) / old;
    const share = beyond <= 0 || from + 1 >= old ? 0 : beyond - Math.floor(beyond);
    return [from, [1 - share, share].slice(0, share > 0 ? 2 : 1)];
  });
}

/** All weights in one list; those of a pixel lie between its `begin` and the next one's. */
function weighing(count, ofPixel) {
  const [from, begin, weights] = [new Int32Array(count), new Int32Array(count + 1), []];
  for (let i = 0; i < count; i++) {
    const [first, own] = ofPixel(i);
    from[i] = first;
    weights.push(...own);
    begin[i + 1] = weights.length;
  }
  return { from, begin, weights: Float64Array.from(weights) };
}

/** Means over `radius` pixels on each side, the plane being mirrored at its ends: Float32Array. */
export function blurred(plane, [h, w], radius) {
  const [rows, columns] = [mirrored(h, radius), mirrored(w, radius)];
  const size = 2 * radius + 1;
  const wide = new Float64Array(h * w);
  for (let y = 0; y < h; y++) {
    let sum = 0;
    for (let i = 0; i < size; i++) sum += plane[y * w + columns[i]];
    for (let x = 0; x < w; x++) {
      wide[y * w + x] = sum;
      sum += plane[y * w + columns[x + size]] - plane[y * w + columns[x]];
    }
  }
  const out = new Float32Array(h * w);
  const sums = new Float64Array(w);
  for (let i = 0; i < size; i++) {
    for (let x = 0; x < w; x++) sums[x] += wide[rows[i] * w + x];
  }
  for (let y = 0; y < h; y++) {
    const [enters, leaves] = [rows[y + size] * w, rows[y] * w];
    for (let x = 0; x < w; x++) {
      out[y * w + x] = sums[x] / (size * size);
      sums[x] += wide[enters + x] - wide[leaves + x];
    }
  }
  return out;
}

/** Indices of a side and of what lies beyond it, from -radius on. */
function mirrored(side, radius) {
  return Int32Array.from({ length: side + 2 * radius + 1 }, (_, i) => {
    const at = i - radius;
    const within = ((at % (2 * side)) + 2 * side) % (2 * side);
    return within < side ? within : 2 * side - 1 - within;
  });
}
