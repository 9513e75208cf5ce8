// The page: controls, and what they do. All work is in worker.js.
import { entries, showLegend, spoken, withLegend } from "./legend.js";
import { settle } from "./offline.js";
import { frameOf, hasSeveralCameras, nextFrame, openCamera, openVideo, readPicture } from "./source.js";

const at = (id) => document.getElementById(id);
const picture = at("picture");
const context = picture.getContext("2d");
const waiting = new Map(); // id of a question -> {resolve, reject}
const state = { model: null, worker: null, live: null, paused: false, facing: "user", shown: [] };
const look = () => ({ level: Number(new FormData(at("controls")).get("level")), strength: at("paint").value / 100 });

/** Asks the worker for something, and waits for the answer. */
function ask(question, given = {}, transferred = []) {
  const id = crypto.randomUUID?.() ?? String(Math.random());
  return new Promise((resolve, reject) => {
    waiting.set(id, { resolve, reject });
    state.worker.postMessage({ id, ask: question, ...given }, transferred);
  });
}

function openWorker() {
  const worker = new Worker("worker.js", { type: "module" });
  worker.onmessage = ({ data }) => {
    const asked = waiting.get(data.id);
    if (!asked) return;
    waiting.delete(data.id);
    if (data.error) asked.reject(new Error(data.error));
    else asked.resolve(data.answer);
  };
  // Without a message the browser could not even read the worker's code.
  worker.onerror = ({ message }) => {
    const error = new Error(message || "This browser is too old for the page.");
    for (const { reject } of waiting.values()) reject(error);
    waiting.clear();
  };
  return worker;
}

/** The last picture as the network was given it, and its label maps: {size, rgba, levels}. */
export function labelMaps() {
  return ask("maps");
}

async function start() {
  if (!(await settle())) return;
  const [model, site] = await Promise.all(["model.json", "site.json"].map(readJson));
  state.model = model;
  offerLevels(model.levels);
  state.worker = openWorker();
  say("Loading the network …");
  const wanted = new URLSearchParams(location.search).get("on");
  const { device } = await ask("open", { model, runtime: site.runtime, wanted });
  say("");
  at("device").textContent = device;
  for (const id of ["camera", "choose"]) at(id).disabled = false;
  document.documentElement.dataset.state = "ready";
}

async function readJson(file) {
  const response = await fetch(file);
  if (!response.ok) throw new Error(`${file} is missing beside this page.`);
  return response.json();
}

function offerLevels(levels) {
  const choices = levels.map(({ name }, k) => {
    const [label, input] = [document.createElement("label"), document.createElement("input")];
    Object.assign(input, { type: "radio", name: "level", value: k, checked: k === levels.length - 1 });
    label.append(input, Object.assign(document.createElement("span"), { textContent: spoken(name) }));
    return label;
  });
  at("levels").append(...choices);
  at("levels").hidden = levels.length < 2;
}

function say(text) {
  at("notice").textContent = text;
}

/** Runs what a control starts, and tells what went wrong. */
function guarded(action) {
  return async (...given) => {
    try {
      say("");
      await action(...given);
    } catch (error) {
      say(error.message);
    }
  };
}

async function show(answer, presence, shown) {
  if (!answer) return;
  const [height, width] = answer.size;
  if (picture.width !== width || picture.height !== height) Object.assign(picture, { width, height });
  context.putImageData(new ImageData(answer.rgba, width, height), 0, 0);
  const level = state.model.levels[shown.level];
  state.shown = entries(state.model, level, answer.counts, presence);
  showLegend(at("legend"), state.shown);
  const there = state.shown.filter((entry) => entry.there).map(({ name }) => spoken(name));
  if (!presence) picture.setAttribute("aria-label", `Picture with ${there.join(", ") || "nothing found"}`);
  document.body.classList.add("with-picture");
  at("save").disabled = false;
}

function stopLive() {
  state.live?.stop();
  state.live = null;
  setPaused(false);
  at("pause").hidden = at("turn").hidden = true;
  at("speed").textContent = "";
  picture.classList.remove("mirrored");
}

async function showPicture(file) {
  stopLive();
  state.file = file;
  const isOver = () => state.live || state.file !== file; // something else was chosen meanwhile
  const bitmap = await readPicture(file);
  if (isOver()) return;
  say("Segmenting …");
  const wanted = look();
  const answer = await ask("segment", { bitmap, refine: true, look: wanted }, [bitmap]);
  say("");
  if (isOver()) return;
  show(answer, null, wanted);
  showSpeed(null, answer.milliseconds);
}

async function play(live) {
  stopLive();
  state.live = live;
  at("pause").hidden = false;
  picture.classList.toggle("mirrored", live.mirrored);
  picture.setAttribute("aria-label", "Moving picture with its classes");
  try {
    await follow(live);
  } catch (error) {
    if (state.live === live) stopLive(); // else a camera would stay on that nobody looks at
    throw error;
  }
}

/** Shows what is seen now, again and again, until something else is chosen. */
async function follow(live) {
  const [finished, presence] = [[], new Map()];
  const isOver = () => state.live !== live;
  for (let moment = -1, frame = 0; !isOver(); frame++) {
    moment = await nextFrame(live.video, moment, isOver);
    if (isOver()) return;
    const bitmap = await frameOf(live.video);
    const wanted = look();
    const answer = await ask("segment", { bitmap, frame, look: wanted }, [bitmap]);
    if (isOver()) return;
    show(answer, presence, wanted);
    finished.push(performance.now());
    while (finished.length > 2 && finished.at(-1) - finished[0] > 2000) finished.shift();
    if (finished.length > 1) {
      showSpeed(((finished.length - 1) * 1000) / (finished.at(-1) - finished[0]), answer.milliseconds);
    }
  }
}

function showSpeed(perSecond, steps) {
  const sum = Object.values(steps).reduce((total, step) => total + step, 0);
  at("speed").textContent = perSecond ? `${perSecond.toFixed(perSecond < 9.95 ? 1 : 0)} FPS` : `${Math.round(sum)} ms`;
  at("speed").title = Object.entries(steps)
    .map(([name, step]) => `${name} ${step.toFixed(1)} ms`)
    .join(", ");
}

function setPaused(paused) {
  state.paused = paused;
  at("pause").textContent = paused ? "Resume" : "Pause";
  if (paused) state.live?.video.pause();
  else state.live?.video.play();
}

async function startCamera() {
  stopLive();
  const live = await openCamera(state.facing);
  live.video.addEventListener("ended", stopLive);
  hasSeveralCameras().then((several) => (at("turn").hidden = !several || state.live !== live));
  await play(live);
}

async function open(file) {
  if (!file) return;
  if (file.type.startsWith("video/")) await play(await openVideo(file));
  else await showPicture(file);
}

/** Once for however many changes come while it paints. */
async function repaint() {
  if (state.live && !state.paused) return; // the next frame will be painted so
  state.due = true;
  if (state.painting) return;
  state.painting = true;
  try {
    while (state.due) {
      state.due = false;
      const wanted = look();
      await show(await ask("paint", { look: wanted }), null, wanted);
    }
  } finally {
    state.painting = false;
  }
}

async function save() {
  const level = state.model.levels[look().level];
  const canvas = withLegend(picture, level.name, state.shown);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  const link = document.createElement("a");
  const time = new Date().toISOString().slice(0, 19).replaceAll(":", "-");
  Object.assign(link, { href: URL.createObjectURL(blob), download: `segmented ${time}.png` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("button")) return;
  const choices = [...document.getElementsByName("level")];
  if (event.key === " " && state.live) setPaused(!state.paused);
  else if (event.key === "s" && !at("save").disabled) guarded(save)();
  else if (choices[Number(event.key) - 1]) choices[Number(event.key) - 1].click();
  else return;
  event.preventDefault();
}

at("camera").onclick = guarded(startCamera);
at("turn").onclick = guarded(() => {
  state.facing = state.facing === "user" ? "environment" : "user";
  return startCamera();
});
at("choose").onclick = () => at("file").click();
at("file").onchange = guarded(() => {
  const [file] = at("file").files;
  at("file").value = "";
  return open(file);
});
at("pause").onclick = () => setPaused(!state.paused);
at("save").onclick = guarded(save);
at("levels").onchange = guarded(repaint);
at("paint").oninput = guarded(repaint);
document.onkeydown = onKey;
document.ondragover = (event) => {
  event.preventDefault();
  document.body.classList.add("dropping");
};
document.ondragleave = (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dropping");
};
document.ondrop = guarded((event) => {
  event.preventDefault();
  document.body.classList.remove("dropping");
  if (document.documentElement.dataset.state === "ready") return open(event.dataTransfer.files[0]);
});
guarded(start)();
