// The browser's own camera: opened once, and asked for one JPEG at a time.
import { CameraProblem } from "./camera_problem.js";

const DEVICE = "edgevision.camera";
const UNANSWERED_MS = 15_000; // a prompt that nobody answers never fails by itself
const FRAME_WAIT_MS = 2_000;
const QUALITY = 0.85;

export class PageCamera {
  #stream = null;
  #canvas = document.createElement("canvas");

  /** `video`: the element that shows it. `picturePx`: the longer side of its JPEGs. `onProblem(CameraProblem | null)`. */
  constructor(video, picturePx, onProblem) {
    this.video = video;
    this.picturePx = picturePx;
    this.onProblem = onProblem;
  }

  get isOpen() {
    return this.#stream !== null;
  }

  /** Asks the browser for the camera. Throws CameraProblem; waits as long as the prompt is open, and says so after a while. */
  async open() {
    if (!navigator.mediaDevices?.getUserMedia) {
      throw new CameraProblem("insecure");
    }
    const timer = setTimeout(() => this.onProblem(new CameraProblem("unanswered")), UNANSWERED_MS);
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ audio: false, video: this.#wishes() });
    } catch (error) {
      throw CameraProblem.of(error);
    } finally {
      clearTimeout(timer);
    }
    this.#use(stream);
    this.onProblem(null);
  }

  /** Forget which camera was chosen: the next `open` takes any. */
  static forget() {
    try {
      localStorage.removeItem(DEVICE);
    } catch {
      // nothing was kept then
    }
  }

  /** The next picture, as a JPEG; null where the camera gave none. `takenMs`: when, on the clock of `performance.now()`. */
  async picture() {
    await this.#nextFrame();
    const { videoWidth, videoHeight } = this.video;
    if (!this.isOpen || !videoWidth) {
      return null;
    }
    const takenMs = performance.now();
    const scale = Math.min(1, this.picturePx / Math.max(videoWidth, videoHeight));
    this.#canvas.width = Math.round(videoWidth * scale);
    this.#canvas.height = Math.round(videoHeight * scale);
    this.#canvas.getContext("2d", { alpha: false }).drawImage(this.video, 0, 0, this.#canvas.width, this.#canvas.height);
    const blob = await new Promise((resolve) => this.#canvas.toBlob(resolve, "image/jpeg", QUALITY));
    return blob && { blob, takenMs };
  }

  close() {
    for (const track of this.#stream?.getTracks() ?? []) {
      track.stop();
    }
    this.#stream = null;
    this.video.srcObject = null;
  }

  #wishes() {
    const wishes = {
      width: { ideal: Math.max(1280, this.picturePx) },
      height: { ideal: 720 },
      frameRate: { ideal: 15 },
      resizeMode: { ideal: "none" },
    };
    const chosen = rememberedDevice();
    if (chosen) {
      wishes.deviceId = { exact: chosen }; // a wish would be answered with another camera, silently
    } else {
      wishes.facingMode = { ideal: "environment" };
    }
    return wishes;
  }

  #use(stream) {
    this.#stream = stream;
    const [track] = stream.getVideoTracks();
    remember(track.getSettings().deviceId);
    track.addEventListener("ended", () => {
      if (this.#stream === stream) {
        this.close();
        this.onProblem(new CameraProblem("ended"));
      }
    });
    this.video.srcObject = stream;
    this.video.play().catch(() => {}); // not waited for: a tab in the background plays later
  }

  /** Until the video shows a frame that was not sent yet, or it takes too long. */
  async #nextFrame() {
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, FRAME_WAIT_MS);
      const done = () => {
        clearTimeout(timer);
        resolve();
      };
      if ("requestVideoFrameCallback" in this.video) {
        this.video.requestVideoFrameCallback(done);
      } else {
        setTimeout(done, 66);
      }
    });
  }
}

function rememberedDevice() {
  try {
    return localStorage.getItem(DEVICE);
  } catch {
    return null;
  }
}

function remember(device) {
  try {
    if (device) {
      localStorage.setItem(DEVICE, device);
    }
  } catch {
    // it is asked for again the next time
  }
}
