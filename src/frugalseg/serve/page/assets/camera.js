/** The camera: each frame is segmented, and the next is taken when it is done. */

import { byId } from "./page.js";
import { Problem } from "./problem.js";

const SMOOTHING = 0.8; // of the frames per second shown
const QUALITY = 0.9; // of the JPEG that goes to a server

/** What browsers say of a camera that they do not give, for people. */
const REASONS = /** @type {Record<string, string>} */ ({
  NotFoundError: "This device has none, or none that the browser sees.",
  NotAllowedError: "Its use was not allowed: browsers ask for it, or have a switch by the address.",
  NotReadableError: "Another program is using it.",
});

const video = /** @type {HTMLVideoElement} */ (byId("video"));

/** @type {MediaStream | null} */
let stream = null;

let facing = "environment";

export function cameraRuns() {
  return stream !== null;
}

/**
 * Start the camera; raises Problem where there is none, or its use is not allowed.
 *
 * @param {(frame: ImageBitmap) => Promise<void>} work  Called with each frame, which it closes.
 * @param {(rate: number) => void} told  Called with the frames per second.
 * @param {(thrown: unknown) => void} failed  Called where `work` fails; the camera is off then.
 */
export async function startCamera(work, told, failed) {
  if (navigator.mediaDevices === undefined) {
    throw new Problem("No camera here", "Browsers give it to pages over HTTPS, or on localhost.");
  }
  stopCamera();
  const wish = { video: { facingMode: facing, width: { ideal: 640 }, height: { ideal: 480 } } };
  const fresh = await navigator.mediaDevices.getUserMedia(wish).catch((why) => {
    throw new Problem("The camera cannot be used", REASONS[why.name] ?? String(why));
  });
  stream = fresh;
  video.srcObject = fresh;
  await video.play();
  void loop(fresh, work, told).catch((thrown) => {
    stopCamera();
    failed(thrown);
  });
}

/**
 * @param {MediaStream} mine  The loop ends when another stream, or none, has taken its place.
 * @param {(frame: ImageBitmap) => Promise<void>} work
 * @param {(rate: number) => void} told
 */
async function loop(mine, work, told) {
  let rate = 0;
  let before = performance.now();
  while (stream === mine) {
    await new Promise(requestAnimationFrame); // which a hidden tab does not get: it rests
    if (video.videoWidth === 0) continue;
    await work(await createImageBitmap(video));
    const now = performance.now();
    const current = 1000 / (now - before);
    rate = rate === 0 ? current : SMOOTHING * rate + (1 - SMOOTHING) * current;
    before = now;
    if (stream === mine) told(rate);
  }
}

export function stopCamera() {
  for (const track of stream?.getTracks() ?? []) track.stop();
  stream = null;
  video.srcObject = null;
}

/** Take the camera on the other side from the next start on. */
export function flipCamera() {
  facing = facing === "environment" ? "user" : "environment";
}

/** Whether there is more than one camera. */
export async function hasMoreCameras() {
  const devices = await navigator.mediaDevices.enumerateDevices();
  return devices.filter(({ kind }) => kind === "videoinput").length > 1;
}

/**
 * @param {ImageBitmap} frame
 * @returns {Promise<Blob>} JPEG.
 */
export function encodeFrame(frame) {
  const canvas = new OffscreenCanvas(frame.width, frame.height);
  canvas.getContext("2d")?.drawImage(frame, 0, 0);
  return canvas.convertToBlob({ type: "image/jpeg", quality: QUALITY });
}
