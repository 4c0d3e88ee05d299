// The camera of this page. It acts on codes of this very origin only, and sends two frames when it sees two.
import { SCREEN, isPair, seen } from './frame.js';
import { pause } from './pause.js';
import { readImage } from './qr.js';

/** How long to wait for the second frame, which follows the first after three seconds at most */
const PAIR_MS = 4_200;
const LOOK_MS = 120;
const WIDEST = 720;

async function detector() {
  try {
    if (!('BarcodeDetector' in globalThis)) return null;
    const formats = await globalThis.BarcodeDetector.getSupportedFormats();
    return formats.includes('qr_code') ? new globalThis.BarcodeDetector({ formats: ['qr_code'] }) : null;
  } catch {
    return null;
  }
}

/** A reader of codes out of video or image: `read(source, width, height)` gives texts. */
async function reader() {
  const native = await detector();
  const canvas = document.createElement('canvas');
  const context = canvas.getContext('2d', { willReadFrequently: true });
  return async (source, width, height) => {
    if (native) {
      const found = await native.detect(source).catch(() => []);
      return found.map(({ rawValue }) => rawValue);
    }
    const scale = Math.min(1, WIDEST / Math.max(width, height));
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
    context.drawImage(source, 0, 0, canvas.width, canvas.height);
    const text = await readImage(context.getImageData(0, 0, canvas.width, canvas.height));
    return text === null ? [] : [text];
  };
}

export class Scanner {
  #stream = null;
  #done = false;

  /** Turns the camera on and looks through `video`; throws when it may not. */
  async open(video) {
    this.#stream = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: { ideal: 'environment' }, width: { ideal: 1280 }, height: { ideal: 720 } },
      audio: false,
    });
    video.srcObject = this.#stream;
    video.setAttribute('playsinline', '');
    video.muted = true;
    await video.play();
  }

  /**
   * Looks until it has seen a code of `origin` and `kind`: one or two frames, oldest first. `onFirst` is told when the first is there;
   * `onForeign` when a code of somebody else was seen; `both` waits for two however long it takes. Null when it was stopped.
   */
  async frames(video, origin, { kind = SCREEN, both = false, onFirst = () => {}, onForeign = () => {} } = {}) {
    const read = await reader();
    let first = null;
    let until = Infinity;
    while (!this.#done && performance.now() < until) {
      if (video.videoWidth) {
        const texts = await read(video, video.videoWidth, video.videoHeight);
        for (const text of texts) {
          const frame = seen(text, origin, kind);
          if (!frame) onForeign();
          else if (!first || frame.handle !== first.handle) {
            first = frame;
            until = performance.now() + (both ? Infinity : PAIR_MS);
            onFirst();
          } else if (isPair(first, frame)) return this.#end([first.text, frame.text]);
          else if (frame.index > first.index) {
            first = frame;
            until = performance.now() + (both ? Infinity : PAIR_MS);
          }
        }
      }
      await pause(LOOK_MS);
    }
    return first && !this.#stopped ? this.#end([first.text]) : null;
  }

  #stopped = false;

  #end(frames) {
    this.close();
    return frames;
  }

  /** Turns the camera off. */
  close() {
    this.#done = true;
    this.#stream?.getTracks().forEach((track) => track.stop());
    this.#stream = null;
  }

  /** Turns it off and gives up what was seen. */
  stop() {
    this.#stopped = true;
    this.close();
  }
}
