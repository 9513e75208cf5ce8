// Less flicker in a video: scores averaged over its frames along what moves, as smoothing.py has
// it.
import { agreement, greyFrame, motion, moved, ofSize, placesOf } from "./motion.js";

const KEPT = 0.8; // of the average before
const PULL = 1.5; // by which it moves the logarithm of a score at most, times that
const CUT = 0.3; // agreement of two frames below which there is a cut
const LEAST = 0.05; // of an even share of all classes: scores below it are not averaged

/**
 * The average with one more frame, or from it on where a scene begins.
 * @param {object | null} before what this gave for the frame before.
 * @param {{planes: Uint16Array, shape: number[]}} given of `run`, [C, h, w].
 * @param {Uint8Array} input [H, W, 3] of that frame, and its size.
 * @param {{floor, steps}} rule of the metadata's `scores`.
 * @returns {{grey, shape, planes: Float32Array, rounded: Uint16Array}}
 */
export function nextAverage(before, { planes, shape }, input, size, rule) {
  const [count, h, w] = shape;
  const grey = greyFrame(input, size, [h, w]);
  const anew = { grey, shape, planes: new Float32Array(planes), rounded: planes };
  if (!before || before.shape.some((side, axis) => side !== shape[axis])) return anew;
  const found = motion(before.grey, grey);
  if (agreement(grey, found.trust) < CUT) return anew;
  const seen = ofSize(found, [h, w]);
  const [places, shares] = [placesOf(seen), seen.trust.map((trust) => KEPT * trust)];
  const nat = -rule.steps / rule.floor;
  const [least, pull] = [rule.steps + nat * Math.log(LEAST / count), PULL * nat];
  const [average, rounded, plane] = [anew.planes, planes.slice(), new Float32Array(h * w)];
  for (let c = 0, start = 0; c < count; c++, start += h * w) {
    const earlier = before.planes.subarray(start, start + h * w);
    if (most(planes.subarray(start, start + h * w)) <= least && most(earlier) <= least) continue;
    moved(earlier, places, plane);
    for (let i = 0; i < plane.length; i++) {
      const step = Math.min(Math.max(plane[i] - average[start + i], -pull), pull);
      const score = average[start + i] + step * shares[i];
      average[start + i] = score;
      rounded[start + i] = score + 0.5;
    }
  }
  return { ...anew, rounded };
}

function most(scores) {
  let found = 0;
  for (let i = 0; i < scores.length; i++) if (scores[i] > found) found = scores[i];
  return found;
}
