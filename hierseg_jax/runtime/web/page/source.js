// Where pictures come from: a camera, a file of a picture, a file of a video.

const MOVING = 640; // pixels of the longer side of frames
const MOST = 4096; // of a picture

/** A camera that is on: {video, stop, mirrored}. Raises an error whose message is a sentence. */
export async function openCamera(facing) {
  if (!navigator.mediaDevices?.getUserMedia) {
    throw new Error("The browser gives cameras to pages of https:// and localhost alone.");
  }
  const wish = { width: { ideal: MOVING }, height: { ideal: 480 }, facingMode: facing };
  let stream;
  try {
    stream = await navigator.mediaDevices.getUserMedia({ video: wish, audio: false });
  } catch (error) {
    throw new Error(whyNoCamera(error.name), { cause: error });
  }
  const tracks = stream.getVideoTracks();
  const stop = () => tracks.forEach((track) => track.stop());
  const video = newVideo();
  video.srcObject = stream;
  try {
    await video.play();
  } catch (error) {
    stop();
    throw new Error(whyNoCamera(error.name), { cause: error });
  }
  return { video, stop, mirrored: tracks[0]?.getSettings().facingMode === "user" };
}

function whyNoCamera(name) {
  if (name === "NotAllowedError") return "The camera is not allowed; allow it in the browser.";
  if (name === "NotFoundError") return "There is no camera.";
  if (name === "NotReadableError") return "The camera can't be read; another program may have it.";
  return `The camera can't be opened (${name}).`;
}

export async function hasSeveralCameras() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter((device) => device.kind === "videoinput").length > 1;
}

/** A video that plays: {video, stop, mirrored}. */
export async function openVideo(file) {
  const video = newVideo();
  video.loop = true;
  video.src = URL.createObjectURL(file);
  const stop = () => {
    video.pause();
    URL.revokeObjectURL(video.src);
    video.removeAttribute("src");
  };
  try {
    await video.play();
  } catch (error) {
    stop();
    throw new Error(`${file.name} can't be played by this browser.`, { cause: error });
  }
  return { video, stop, mirrored: false };
}

function newVideo() {
  return Object.assign(document.createElement("video"), { muted: true, playsInline: true });
}

/** A picture's pixels as the file has them, upright: ImageBitmap. */
export async function readPicture(file) {
  const options = { colorSpaceConversion: "none", premultiplyAlpha: "none" };
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, options);
  } catch (error) {
    throw new Error(`${file.name} is no picture that this browser reads.`, { cause: error });
  }
  return atMost(bitmap, bitmap.width, bitmap.height, MOST);
}

/** A video's frame of now: ImageBitmap. */
export function frameOf(video) {
  return atMost(video, video.videoWidth, video.videoHeight, MOVING);
}

async function atMost(source, width, height, longest) {
  const scale = longest / Math.max(width, height);
  if (scale >= 1) return source instanceof ImageBitmap ? source : createImageBitmap(source);
  const [resizeWidth, resizeHeight] = [width, height].map((side) => Math.max(1, Math.round(side * scale)));
  return createImageBitmap(source, { resizeWidth, resizeHeight, resizeQuality: "medium" });
}

/**
 * Waits until a video shows another moment than `last`.
 * @returns {Promise<number>} that moment, in seconds; NaN once `isOver` says so.
 */
export async function nextFrame(video, last, isOver) {
  while (!isOver()) {
    if (video.readyState >= HTMLMediaElement.HAVE_CURRENT_DATA && video.currentTime !== last) {
      return video.currentTime;
    }
    await new Promise(requestAnimationFrame);
  }
  return NaN;
}
