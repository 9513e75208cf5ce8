// Label maps in colours over a picture: paint of any strength, and a thin outline of every region.

const OUTLINES = 400; // of an outline, along a picture's shorter side

/**
 * The picture, painted. What is painted loses its own hue, so that a class looks the same on
 * red cloth as on blue; below half paint it gets it back by and by.
 * @param {Uint8ClampedArray} rgba [H, W, 4].
 * @param {Uint8Array} labels [H, W], classes of the level.
 * @param {object} level of the metadata.
 * @param {number} strength 0 to 1.
 * @returns {Uint8ClampedArray} of the picture's shape.
 */
export function painted(rgba, [H, W], labels, level, strength) {
  const out = new Uint8ClampedArray(rgba);
  const [isPainted, colors] = palette(level);
  const border = outlines(labels, [H, W]);
  const [own, grey] = [1 - strength, Math.min(1, 2 * strength)];
  for (let i = 0, to = 0; i < labels.length; i++, to += 4) {
    const label = labels[i];
    if (!isPainted[label]) continue;
    const color = 3 * label;
    if (border[i]) {
      for (let k = 0; k < 3; k++) out[to + k] = colors[color + k];
      continue;
    }
    const light = 0.299 * rgba[to] + 0.587 * rgba[to + 1] + 0.114 * rgba[to + 2];
    for (let k = 0; k < 3; k++) {
      const photo = rgba[to + k] + (light - rgba[to + k]) * grey;
      out[to + k] = photo * own + colors[color + k] * strength;
    }
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
  const stamp = (y, x) => {
    for (let dy = -reach; dy <= reach; dy++) {
      const half = Math.floor(Math.sqrt(reach * reach - dy * dy));
      if (y + dy < 0 || y + dy >= H) continue;
      const row = (y + dy) * W;
      border.fill(1, row + Math.max(0, x - half), row + Math.min(W, x + half + 1));
    }
  };
  for (let y = 0, i = 0; y < H; y++) {
    for (let x = 0; x < W; x++, i++) {
      if (x + 1 < W && labels[i] !== labels[i + 1]) stamp(y, x), stamp(y, x + 1);
      if (y + 1 < H && labels[i] !== labels[i + W]) stamp(y, x), stamp(y + 1, x);
    }
  }
  return border;
}
