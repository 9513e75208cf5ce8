// onnxruntime-web and the network: on the GPU where there is one, else on the processor.
import { withFloatScores } from "./float-scores.js";
import { guidedLabels } from "./guided.js";
import { enlargedLabels, leafLabels, logPlanes } from "./labels.js";

const MOST_THREADS = 8; // more bring nothing to networks of this size
const PATIENCE = 30; // seconds that WebGPU may take from the loaded files to the first result

/**
 * Opens the network.
 * @param {object} model of model.json; its file is "model.onnx" beside this one.
 * @param {{base: string, files: object}} runtime of site.json.
 * @param {string | null} wanted "webgpu" or "wasm"; by default what there is.
 * @returns {{run, device: string}} `run` takes what `networkInput` gives, and its [height, width].
 */
export async function openNetwork(model, runtime, wanted) {
  const bytes = await fetched(`model.onnx?v=${model.file.sha256.slice(0, 16)}`, {
    integrity: `sha256-${base64(model.file.sha256)}`,
  });
  if (wanted !== "wasm" && (wanted === "webgpu" || (await hasGpu()))) {
    try {
      const ort = await engine("webgpu", runtime);
      const onGpu = start(ort, "webgpu", withFloatScores(new Uint8Array(bytes)), model);
      return await Promise.race([onGpu, tooLate()]);
    } catch (error) {
      console.warn(`WebGPU can't run this network (${error.message}); the processor does.`);
    }
  }
  return start(await engine("wasm", runtime), "wasm", bytes, model);
}

async function hasGpu() {
  const adapter = await navigator.gpu?.requestAdapter().catch(() => null);
  return Boolean(adapter) && !(adapter.info?.isFallbackAdapter ?? adapter.isFallbackAdapter);
}

/** A driver may hang, or compile for minutes. */
function tooLate() {
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error("not ready in time")), 1000 * PATIENCE);
  });
}

/** onnxruntime-web, loaded and set up. */
async function engine(provider, runtime) {
  const suffix = provider === "webgpu" ? ".asyncify" : "";
  const [api, glue, wasmBinary] = await Promise.all([
    moduleUrl(`ort.${provider}.min.mjs`, runtime),
    moduleUrl(`ort-wasm-simd-threaded${suffix}.mjs`, runtime),
    ofRuntime(`ort-wasm-simd-threaded${suffix}.wasm`, runtime),
  ]);
  const ort = await import(api);
  const cores = self.crossOriginIsolated ? navigator.hardwareConcurrency || 1 : 1;
  const numThreads = Math.min(MOST_THREADS, cores);
  Object.assign(ort.env.wasm, { wasmPaths: { mjs: glue }, wasmBinary, numThreads });
  ort.env.logLevel = "error";
  return ort;
}

async function start(ort, provider, bytes, model) {
  const session = await ort.InferenceSession.create(bytes, { executionProviders: [provider] });
  const run = (input, size) => runOnce(ort, session, model, input, size);
  const [height, width] = model.image_size;
  await run(new Uint8Array(3 * height * width), [height, width]);
  const { numThreads } = ort.env.wasm;
  const processor = numThreads > 1 ? `CPU, ${numThreads} threads` : "CPU, 1 thread";
  return { run, device: provider === "webgpu" ? "WebGPU" : processor };
}

/** What `labelsOf` needs: {planes, shape}, or {map} of a file without scores. */
async function runOnce(ort, session, model, input, [height, width]) {
  const { name, layout } = model.input;
  const given =
    layout === "NHWC"
      ? new ort.Tensor("uint8", input, [1, height, width, 3])
      : new ort.Tensor("float32", channelsFirst(input), [1, 3, height, width]);
  const finest = model.levels.at(-1).name;
  const output = model.contract === "reference" ? "mask" : model.plain ? finest : "scores";
  const results = await session.run({ [name]: given }, [output]);
  const { data, dims } = results[output];
  if (model.plain) return { map: data };
  if (output === "scores") return { planes: asUint16(data), shape: dims.slice(1) };
  const { scores, shape } = everyNth(data, dims.slice(1), model.scores.stride);
  return { planes: logPlanes(scores, model.scores), shape };
}

/** Leaf classes of a picture from what the network gave; along its edges if `rgba` is given. */
export function labelsOf({ map, planes, shape }, placement, model, rgba = null) {
  if (map) return enlargedLabels(map, placement);
  if (rgba) return guidedLabels(planes, shape, placement, model, rgba);
  return leafLabels(planes, shape, placement, model);
}

function asUint16(data) {
  return data instanceof Uint16Array ? data : Uint16Array.from(data);
}

/** uint8 [h, w, 3] -> float32 [3, h, w] in [0, 1]. */
function channelsFirst(input) {
  const count = input.length / 3;
  return Float32Array.from({ length: input.length }, (_, i) => {
    return input[3 * (i % count) + Math.floor(i / count)] / 255;
  });
}

function everyNth(mask, [count, h, w], stride) {
  if (stride === 1) return { scores: mask, shape: [count, h, w] };
  const [height, width] = [h / stride, w / stride];
  const scores = new Float32Array(count * height * width);
  for (let c = 0, to = 0; c < count; c++) {
    for (let y = 0; y < h; y += stride) {
      for (let x = 0; x < w; x += stride) scores[to++] = mask[(c * h + y) * w + x];
    }
  }
  return { scores, shape: [count, height, width] };
}

async function fetched(url, options) {
  // A browser does not tell why: no network, or a file whose digest is another.
  const response = await fetch(url, options).catch(() => ({ ok: false, status: "no answer" }));
  if (response.ok) return response.arrayBuffer();
  const file = url.replace(/\?.*/, "");
  throw new Error(`${file} can't be loaded, or is not the file that it should be (${response.status}).`);
}

function ofRuntime(name, { base, files }) {
  const integrity = files[name];
  const tag = integrity.slice(-16).replace(/[^a-zA-Z0-9]/g, "");
  return fetched(`${base}${name}?v=${tag}`, { integrity });
}

/** Of a module that is loaded with its integrity checked, which `import` can't do in a worker. */
async function moduleUrl(name, runtime) {
  const code = await ofRuntime(name, runtime);
  return URL.createObjectURL(new Blob([code], { type: "text/javascript" }));
}

function base64(hex) {
  return btoa(hex.replace(/../g, (pair) => String.fromCharCode(parseInt(pair, 16))));
}
