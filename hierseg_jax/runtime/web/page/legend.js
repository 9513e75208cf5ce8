// What the colours mean: beside the picture, and below it in a picture that is saved.
import { isBackground } from "./painting.js";

// As in hierseg_jax/reports/drawing/presence.py.
const VISIBLE = 10000; // a class of less than one pixel in so many can't be found in the picture
const CLEAR = 2000; // a class of one pixel in so many is named at once
const [BEGIN, END] = [10, 30]; // frames in a row before a smaller one is named, and one no longer
const NOTHING = "nothing found";
const FEW = 12; // classes that keep their places while the picture moves

/** The classes that a picture shows: [{index, name, color, there}].
 *
 * Of a moving picture, `presence` is the Map that it keeps from frame to frame, of the level that
 * is shown; of a still one null.
 */
export function entries(model, level, counts, presence) {
  const pixels = counts.reduce((sum, count) => sum + count, 0);
  const keep = presence && level.class_names.length <= FEW;
  const atLeast = (index, share) => counts[index] >= Math.max(1, Math.floor(pixels / share));
  const named = presence && steady(level, atLeast, presence);
  return treeOrder(model, level)
    .map((index) => ({
      index,
      name: level.class_names[index],
      color: `rgb(${level.colors_rgb[index].join(" ")})`,
      there: named ? named[index] : atLeast(index, VISIBLE),
    }))
    .filter(({ index, there }) => !isBackground(level, index) && (there || keep));
}

/** The classes of a level in the order of the tree, a background first; siblings are neighbours. */
function treeOrder({ hierarchy, levels }, level) {
  const every = level.class_names.map((_, index) => index);
  if (level !== levels.at(-1)) return every; // groups are numbered so
  const leaves = (node) => (typeof node === "number" ? [node] : Object.values(node).flat().flatMap(leaves));
  const inTree = hierarchy.tree.flatMap(leaves);
  return [...every.filter((index) => !inTree.includes(index)), ...inTree];
}

/** Which classes to name: none that comes and goes with a few pixels. */
function steady(level, atLeast, presence) {
  const before = presence.get(level.name) ?? level.class_names.map(() => ({ named: false, since: 0 }));
  const after = before.map(({ named, since }, index) => {
    if (atLeast(index, VISIBLE) === named) return { named, since: 0 };
    const turns = named ? since + 1 >= END : atLeast(index, CLEAR) || since + 1 >= BEGIN;
    return turns ? { named: !named, since: 0 } : { named, since: since + 1 };
  });
  presence.clear(); // a level that is not shown does not know what goes meanwhile
  presence.set(level.name, after);
  return after.map(({ named }) => named);
}

/** Fills a list with them, and touches nothing where it is as it was. */
export function showLegend(list, shown) {
  const key = JSON.stringify(shown);
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(
    ...shown.map(({ name, color, there }) => {
      const [item, swatch] = [document.createElement("li"), document.createElement("i")];
      swatch.style.background = color;
      item.append(swatch, spoken(name));
      item.classList.toggle("absent", !there);
      if (!there) item.setAttribute("aria-hidden", "true");
      return item;
    }),
  );
  if (!shown.length) list.append(Object.assign(document.createElement("li"), { textContent: NOTHING }));
}

/** Names of classes are often those of programs. */
export function spoken(name) {
  return name.replaceAll("_", " ");
}

/** A canvas: the picture, and its legend on a strip below it. */
export function withLegend(picture, title, shown) {
  const { width, height } = picture;
  const em = Math.max(12, Math.round(Math.sqrt(width * height) / 42));
  const canvas = document.createElement("canvas");
  const context = canvas.getContext("2d");
  const font = `${em}px system-ui, sans-serif`;
  context.font = font;
  const present = shown.filter(({ there }) => there);
  const named = present.length ? present : [{ name: NOTHING }];
  const places = wrapped(context, [{ name: title }, ...named], em, width);
  canvas.width = width;
  canvas.height = height + Math.round((places.at(-1).row + 1) * 1.6 * em + 0.7 * em);
  context.fillStyle = "rgb(22 24 28)";
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(picture, 0, 0);
  context.font = font;
  context.textBaseline = "middle";
  for (const { name, color, x, row } of places) {
    const y = height + Math.round((0.35 + 1.6 * (row + 0.5)) * em);
    if (color) {
      context.fillStyle = color;
      context.fillRect(x, y - em / 2, em, em);
    }
    context.fillStyle = color ? "rgb(240 241 243)" : "rgb(158 163 172)";
    context.fillText(spoken(name), x + (color ? 1.4 * em : 0), y);
  }
  return canvas;
}

function wrapped(context, items, em, width) {
  let [x, row] = [0.6 * em, 0];
  return items.map((item) => {
    const wide = context.measureText(spoken(item.name)).width + (item.color ? 1.4 * em : 0);
    if (x + wide > width - 0.6 * em && x > 0.6 * em) [x, row] = [0.6 * em, row + 1];
    const place = { ...item, x, row };
    x += wide + 1.2 * em;
    return place;
  });
}
