// Dark pictures made as bright as photographs are, to the same bytes as brightening.py.

/**
 * Brightens the picture in a network's input, and leaves its bars as they are. Gives what each
 * value became, null where nothing changed.
 * @param {Uint8Array} input [h, w, 3], changed in place.
 * @param {object} placement of `place`.
 * @param {{percent, to, least} | undefined} rule the metadata's `brightening`.
 */
export function brighten(input, { filled, size }, rule) {
  if (!rule) return null;
  const counts = new Uint32Array(256);
  eachPixel(filled, size, (i) => counts[Math.max(input[i], input[i + 1], input[i + 2])]++);
  const table = tableOf(counts, filled.height * filled.width, rule);
  if (!table) return null;
  eachPixel(filled, size, (i) => {
    for (let k = i; k < i + 3; k++) input[k] = table[input[k]];
  });
  return table;
}

/** The picture itself, RGBA, by a table of `brighten`. */
export function litPicture(rgba, table) {
  if (!table) return rgba;
  const lit = new Uint8ClampedArray(rgba);
  for (let i = 0; i < lit.length; i++) if (i % 4 < 3) lit[i] = table[lit[i]];
  return lit;
}

/** What each value becomes; null where the picture is bright enough. */
function tableOf(counts, pixels, { percent, to, least }) {
  let level = 0;
  for (let sum = counts[0]; 100 * sum < percent * pixels; sum += counts[++level]);
  if (level >= to) return null;
  const [from, half] = [Math.max(level, least), Math.max(level, least) >> 1];
  return Uint8Array.from({ length: 256 }, (_, x) => Math.min(255, Math.floor((to * x + half) / from)));
}

function eachPixel(filled, [, width], take) {
  for (let y = filled.top; y < filled.top + filled.height; y++) {
    const start = 3 * (y * width + filled.left);
    for (let i = start; i < start + 3 * filled.width; i += 3) take(i);
  }
}
