// Everything that takes time, beside the page: pixels in, a painted picture out.
import { brighten, litPicture } from "./brightening.js";
import { place } from "./geometry.js";
import { countLabels, levelLabels } from "./labels.js";
import { labelsOf, openNetwork } from "./network.js";
import { painted } from "./painting.js";
import { networkInput } from "./sampling.js";
import { nextAverage } from "./smoothing.js";

let [model, network] = [null, null];
let last = null; // the last picture: {rgba, size, leaves}
let average = null; // of the frames before, where pictures move
const canvas = new OffscreenCanvas(1, 1);
const context = canvas.getContext("2d", { willReadFrequently: true, alpha: false });

const answers = {
  async open({ model: told, runtime, wanted }) {
    model = told;
    network = await openNetwork(model, runtime, wanted);
    return [{ device: network.device }];
  },
  /**
   * Segments a bitmap, which is closed, and paints it; `refine`: along its edges; `frame`: its
   * number, from 0 on, in a camera's or a video's pictures, which are averaged.
   */
  async segment({ bitmap, refine, frame, look }) {
    const clock = stopwatch();
    const size = [bitmap.height, bitmap.width];
    const rgba = pixelsOf(bitmap);
    clock("read");
    const stride = model.open ? model.stride : 0;
    const placement = place(size, model.image_size, model.resizing.rule, stride);
    const input = networkInput(rgba, placement, model.resizing);
    const table = brighten(input, placement, model.brightening);
    clock("resize");
    let given = await network.run(input, placement.size);
    clock("network");
    const before = frame ? average : null;
    average = null;
    if (frame !== undefined && given.planes) {
      average = nextAverage(before, given, input, placement.size, model.scores);
      given = { planes: average.rounded, shape: given.shape };
    }
    const edges = refine ? litPicture(rgba, table) : null;
    last = { rgba, size, leaves: labelsOf(given, placement, model, edges) };
    clock("labels");
    return draw(look, clock);
  },
  /** Paints the last picture anew. */
  paint({ look }) {
    return last ? draw(look, stopwatch()) : [null];
  },
  /** The last picture and its label maps by level. */
  maps() {
    const levels = model.levels.map((level) => [level.name, levelLabels(last.leaves, level)]);
    return [{ size: last.size, rgba: last.rgba, levels: Object.fromEntries(levels) }];
  },
};

// One question after the other: a session can't run twice at once, as for a picture that is
// chosen while a frame of the camera is on its way, and `last` is of the one asked for last.
let before = Promise.resolve();
self.onmessage = ({ data }) => {
  before = before.then(() => answerTo(data));
};

async function answerTo({ id, ask, ...given }) {
  try {
    const [answer, transferred = []] = await answers[ask](given);
    self.postMessage({ id, answer }, transferred);
  } catch (error) {
    self.postMessage({ id, error: error.message ?? String(error) });
  }
}

/** Of a bitmap: RGBA bytes, as they are. */
function pixelsOf(bitmap) {
  const { width, height } = bitmap;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  context.clearRect(0, 0, width, height); // else what is transparent shows the picture before
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, width, height).data;
}

/** `look`: the level's number, and the strength of the paint from 0 to 1. */
function draw({ level: k, strength }, clock) {
  const level = model.levels[k];
  const labels = levelLabels(last.leaves, level);
  const rgba = painted(last.rgba, last.size, labels, level, strength);
  const counts = countLabels(labels, level.class_names.length);
  clock("paint");
  return [{ rgba, size: last.size, counts, milliseconds: clock() }, [rgba.buffer]];
}

/** Notes how long every step takes; without a name gives all. */
function stopwatch() {
  const [steps, begun] = [{}, [performance.now()]];
  return (name) => {
    if (!name) return steps;
    const now = performance.now();
    steps[name] = now - begun[0];
    begun[0] = now;
    return steps;
  };
}
