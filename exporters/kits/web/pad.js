// A pad to draw on: mouse, finger, pen (pointer events) or keyboard.
const INK = "#fff";
const STROKE = 18; // in canvas pixels
const STEP = 10; // how far an arrow key moves the keyboard's pen
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export class Pad {
  /**
   * @param {HTMLCanvasElement} canvas
   * @param {(picture: import("./prepare.js").Picture | null) => void} changed is told every change; null: it is empty
   */
  constructor(canvas, changed) {
    this.canvas = canvas;
    this.changed = changed;
    this.context = canvas.getContext("2d", { willReadFrequently: true });
    this.pen = { x: canvas.width / 2, y: canvas.height / 2, isDown: false };
    this.isEmpty = true;
    this.asked = false;
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("keydown", (event) => this.press(event));
    this.erase();
  }

  /** Forget the drawing. */
  clear() {
    this.erase();
    this.changed(null);
  }

  erase() {
    const { canvas, context } = this;
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    this.isEmpty = true;
  }

  begin(event) {
    if (event.button !== 0) return;
    event.preventDefault();
    this.canvas.focus({ preventScroll: true, focusVisible: false });
    this.canvas.setPointerCapture(event.pointerId);
    this.last = this.place(event);
    this.line(this.last, this.last);
  }

  move(event) {
    if (!(event.buttons & 1) || !this.canvas.hasPointerCapture(event.pointerId)) return;
    // A fast hand moves further than one event tells.
    const events = event.getCoalescedEvents?.() ?? [];
    for (const moment of events.length ? events : [event]) {
      const place = this.place(moment);
      this.line(this.last, place);
      this.last = place;
    }
  }

  press(event) {
    if (event.key === "Escape") {
      this.clear();
    } else if (event.key === " ") {
      this.pen.isDown = !this.pen.isDown;
      if (this.pen.isDown) this.line(this.pen, this.pen);
    } else if (ARROWS[event.key]) {
      const [right, down] = ARROWS[event.key];
      const next = {
        x: Math.min(this.canvas.width, Math.max(0, this.pen.x + STEP * right)),
        y: Math.min(this.canvas.height, Math.max(0, this.pen.y + STEP * down)),
      };
      if (this.pen.isDown) this.line(this.pen, next);
      Object.assign(this.pen, next);
    } else {
      return;
    }
    event.preventDefault();
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return {
      x: ((event.clientX - box.left) * this.canvas.width) / box.width,
      y: ((event.clientY - box.top) * this.canvas.height) / box.height,
    };
  }

  line(from, to) {
    const { context } = this;
    Object.assign(context, { strokeStyle: INK, lineWidth: STROKE, lineCap: "round", lineJoin: "round" });
    context.beginPath();
    context.moveTo(from.x, from.y);
    context.lineTo(to.x + 0.01, to.y); // a point is a line, too
    context.stroke();
    this.isEmpty = false;
    this.tell();
  }

  /** Tell at most once a frame. */
  tell() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      if (!this.isEmpty) this.changed(this.picture());
    });
  }

  /** The drawing as grey bytes. */
  picture() {
    const { width, height } = this.canvas;
    const { data } = this.context.getImageData(0, 0, width, height);
    const grey = new Uint8Array(width * height);
    for (let at = 0; at < grey.length; at++) grey[at] = data[4 * at];
    return { data: grey, width, height, channels: 1 };
  }
}
