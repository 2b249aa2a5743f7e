// The model behind one call: pictures in, labels out. Knows neither the page nor the machine it runs on.
import { findDoubt } from "./guard.js";
import { DOUBT, PictureError, prepare } from "./prepare.js";

export { PictureError };

const TIMED_RUNS = 51; // their median is told

/**
 * @typedef {{ label: string, index: number, probability: number, probabilities: Float32Array, doubtful: boolean,
 *   reason: string, pixels: Uint8Array, notes: string[], milliseconds: number }} Prediction
 */

export class Classifier {
  /**
   * @param {any} ort the ONNX Runtime module that runs it
   * @param {any} session an opened `InferenceSession`
   * @param {any} card the model's card
   * @param {(boolean | null)[]} verdicts of `golden_doubts.json`: what the toolkit doubts, for `selfCheck`
   */
  constructor(ort, session, card, verdicts = []) {
    this.ort = ort;
    this.session = session;
    this.card = card;
    this.verdicts = verdicts;
    this.classes = card.classes;
    this.turn = Promise.resolve();
  }

  /**
   * Say what one picture shows.
   * @param {import("./prepare.js").Picture} picture
   * @param {{ fit?: "auto" | "mnist" }} wish
   * @returns {Promise<Prediction>}
   */
  async predict(picture, wish = {}) {
    const { data, notes: told } = prepare(picture, this.card.input, wish);
    const start = performance.now();
    const { logits, label, probabilities } = await this.run(data, 1);
    const milliseconds = performance.now() - start;
    if (!logits.every(Number.isFinite)) throw new Error("the model answered NaN or infinity for this picture");
    const index = Number(label[0]);
    const [doubts, notes] = [told.filter((note) => note.startsWith(DOUBT)), told.filter((note) => !note.startsWith(DOUBT))];
    const doubt = this.judge(data, logits);
    const reason = [...doubts.map((note) => note.slice(DOUBT.length)), doubt].filter(Boolean).join("; ");
    return {
      label: this.classes[index],
      index,
      probability: probabilities[index],
      probabilities,
      doubtful: reason !== "",
      reason,
      pixels: data,
      notes,
      milliseconds,
    };
  }

  /** Say why the answer to an image of the model's size is to be doubted; "" where it is not. */
  judge(pixels, logits) {
    return findDoubt(this.card.guard, { ...this.card.input, data: pixels }, logits);
  }

  /**
   * Run prepared pixels through the model.
   * @param {Uint8Array} pixels `count` images of the model's size, one after the other
   * @param {number} count
   */
  async run(pixels, count) {
    const { height, width, channels } = this.card.input;
    const shape = channels === 1 ? [count, height, width] : [count, height, width, channels];
    // One at a time: on WebGPU two runs at once never end.
    const outputs = this.turn.then(() => this.session.run({ images: new this.ort.Tensor("uint8", pixels, shape) }));
    this.turn = outputs.catch(() => {});
    const { logits, probabilities, label } = await outputs;
    return {
      logits: /** @type {Float32Array} */ (logits.data),
      probabilities: /** @type {Float32Array} */ (probabilities.data),
      label: /** @type {BigInt64Array} */ (label.data),
    };
  }

  /**
   * Replay the images whose answers the card knows, in this very runtime, and which of them are to be doubted.
   * @returns {Promise<{ status: "pass" | "fail" | "not-run", vectors: number, max_abs_logit_error: number | null,
   *   ms_per_image: number | null, reason: string }>}
   */
  async selfCheck() {
    const { golden } = this.card;
    if (!golden) {
      const reason = "the card holds no golden vectors";
      return { status: "not-run", vectors: 0, max_abs_logit_error: null, ms_per_image: null, reason };
    }
    const images = Uint8Array.from(atob(golden.images), (character) => character.charCodeAt(0));
    const [count] = golden.shape;
    const size = images.length / count;
    let error = 0;
    let off = 0;
    let isConsistent = true;
    let doubted = 0; // how many are doubted here and not where the kit was made, or the other way round
    for (let at = 0; at < count; at++) {
      const image = images.slice(at * size, (at + 1) * size);
      const { logits, probabilities, label } = await this.run(image, 1);
      doubted += this.isOtherVerdict(at, image, logits);
      const largest = Math.max(...golden.logits[at]);
      const shares = golden.logits[at].map((expected) => Math.exp(expected - largest));
      const sum = shares.reduce((left, right) => left + right);
      golden.logits[at].forEach((expected, place) => {
        const difference = Math.abs(logits[place] - expected);
        error = difference <= error ? error : difference; // this way round NaN stays
        const drift = Math.abs(probabilities[place] - shares[place] / sum);
        off = drift <= off ? off : drift;
      });
      isConsistent &&= logits[Number(label[0])] === Math.max(...logits);
    }
    const blank = new Uint8Array(size);
    doubted += this.isOtherVerdict(count, blank, (await this.run(blank, 1)).logits);
    const times = [];
    for (let at = 0; at < TIMED_RUNS; at++) {
      const start = performance.now();
      await this.run(images.slice(0, size), 1);
      times.push(performance.now() - start);
    }
    times.sort((left, right) => left - right);
    // A softmax moves by half of what it is given.
    const isRight = error <= golden.tolerance && off <= golden.tolerance / 2 + 2 ** -20 && isConsistent;
    const reasons = [
      isRight ? "" : `logits differ by ${error}, probabilities by ${off}; the most is ${golden.tolerance}`,
      doubted ? `${doubted} pictures are doubted here and not where the kit was made, or the other way round` : "",
    ].filter(Boolean);
    return {
      status: reasons.length ? "fail" : "pass",
      vectors: count,
      max_abs_logit_error: error,
      ms_per_image: times[TIMED_RUNS >> 1],
      reason: reasons.join("; "),
    };
  }

  isOtherVerdict(at, image, logits) {
    const known = this.verdicts[at] ?? null; // null: rounding may decide
    return known !== null && known !== (this.judge(image, logits) !== "");
  }
}
