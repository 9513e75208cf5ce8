// Label maps in colours over a picture: paint of any strength, and a thin outline of every region.

const OUTLINES = 400; // of an outline, along a picture's shorter side
// What black and white come to be below full paint, as in overlay.py: each class looks much the
// same on both.
const [DARKEST, LIGHTEST] = [107, 203];

/**
 * The picture, painted. What is painted loses its own hue, so that a class looks the same on
 * red cloth as on blue, and some of its light and shade. Below half paint it gets the hue back.
 * @param {Uint8ClampedArray} rgba [H, W, 4].
 * @param {Uint8Array} labels [H, W], classes of the level.
 * @param {object} level of the metadata.
 * @param {number} strength 0 to 1.
 * @returns {Uint8ClampedArray} of the picture's shape.
 */
export function painted(rgba, [H, W], labels, level, strength) {
  const out = new Uint8ClampedArray(rgba);
  if (strength === 0) return out; // the picture alone, as in the window of `hierseg predict`
  const bytes = new Uint8Array(out.buffer); // what is clamped is written slowly
  const [isPainted, colors] = palette(level);
  const border = outlines(labels, [H, W]);
  const grey = Math.min(1, 2 * strength);
  const [darkest, lightest] = [DARKEST * strength, 255 + (LIGHTEST - 255) * strength];
  const photo = ((1 - strength) * (lightest - darkest)) / 255;
  const [ofOwn, ofGrey] = [photo * (1 - grey), photo * grey];
  const [red, green, blue] = [0.299 * ofGrey, 0.587 * ofGrey, 0.114 * ofGrey];
  const least = (1 - strength) * darkest + 0.5;
  for (let i = 0, to = 0; i < labels.length; i++, to += 4) {
    const label = labels[i];
    if (isPainted[label] === 0) continue;
    const color = 3 * label;
    if (border[i] === 1) {
      bytes[to] = colors[color];
      bytes[to + 1] = colors[color + 1];
      bytes[to + 2] = colors[color + 2];
      continue;
    }
    const [r, g, b] = [bytes[to], bytes[to + 1], bytes[to + 2]];
    const light = red * r + green * g + blue * b + least;
    bytes[to] = r * ofOwn + light + colors[color] * strength;
    bytes[to + 1] = g * ofOwn + light + colors[color + 1] * strength;
    bytes[to + 2] = b * ofOwn + light + colors[color + 2] * strength;
  }
  return out;
}

/** Whether a class is the background, which stays as it is. */
export function isBackground(level, index) {
  return index === 0 && level.background !== null;
}

function palette(level) {
  const [isPainted, colors] = [new Uint8Array(256), new Uint8Array(3 * 256)];
  level.colors_rgb.forEach((color, index) => {
    colors.set(color, 3 * index);
    isPainted[index] = isBackground(level, index) ? 0 : 1;
  });
  return [isPainted, colors];
}

/** 1 where another label is near: an outline on both sides of every border. */
function outlines(labels, [H, W]) {
  const border = new Uint8Array(H * W);
  const reach = Math.max(1, Math.round(Math.min(H, W) / OUTLINES)) - 1;
  for (let y = 0, i = 0; y < H; y++) {
    for (let x = 0; x < W; x++, i++) {
      const label = labels[i];
      const [right, below] = [x + 1 < W && label !== labels[i + 1], y + 1 < H && label !== labels[i + W]];
      if (!right && !below) continue;
      border[i] = 1;
      if (right) border[i + 1] = 1;
      if (below) border[i + W] = 1;
    }
  }
  return reach ? widened(border, [H, W], reach) : border;
}

/** Discs of a radius about what is 1. */
function widened(border, [H, W], reach) {
  const wide = new Uint8Array(border);
  const halves = Array.from({ length: 2 * reach + 1 }, (_, k) =>
    Math.floor(Math.sqrt(reach * reach - (k - reach) ** 2)),
  );
  for (let y = 0, i = 0; y < H; y++) {
    for (let x = 0; x < W; x++, i++) {
      if (border[i] === 0) continue;
      halves.forEach((half, k) => {
        const row = y + k - reach;
        if (row < 0 || row >= H) return;
        wide.fill(1, row * W + Math.max(0, x - half), row * W + Math.min(W, x + half + 1));
      });
    }
  }
  return wide;
}
