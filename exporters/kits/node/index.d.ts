/** One picture: bytes row by row, grey (1), RGB (3) or RGBA (4). */
export interface Picture {
  data: Uint8Array | Uint8ClampedArray;
  width: number;
  height: number;
  channels: 1 | 3 | 4;
}

export interface Prediction {
  /** Name of the class. */
  label: string;
  /** Its place among `classes`. */
  index: number;
  /** The model's own, 0 to 1. */
  probability: number;
  /** One for each class, in the order of `classes`. */
  probabilities: Float32Array;
  /** Whether the answer is to be doubted: the picture, or what the model says of it, is unlike the training's. */
  doubtful: boolean;
  /** Why, in words; "" where it is not doubtful. */
  reason: string;
  /** What the model saw: @{height}x@{width}, @{channels} channel(s). */
  pixels: Uint8Array;
  /** What was done to the picture to get there. */
  notes: string[];
  milliseconds: number;
}

export interface SelfCheck {
  status: "pass" | "fail" | "not-run";
  vectors: number;
  max_abs_logit_error: number | null;
  ms_per_image: number | null;
  reason: string;
}

/** Something about a picture that its owner has to hear: blank, or of a size that may not be changed. */
export class PictureError extends Error {}

/** A provider is not active; the message says what is missing. */
export class ProviderError extends Error {}

export class Classifier {
  /** Class names in the order of the logits. */
  readonly classes: string[];
  /** The model's card. */
  readonly card: Record<string, unknown>;
  /** Say what one picture shows; throws PictureError. `fit: "mnist"` fits a drawing even where it has the model's size. */
  predict(picture: Picture, wish?: { fit?: "auto" | "mnist" }): Promise<Prediction>;
  /** Run prepared pixels, `count` images one after the other. */
  run(
    pixels: Uint8Array,
    count: number,
  ): Promise<{ logits: Float32Array; probabilities: Float32Array; label: BigInt64Array }>;
  /** Replay the images whose answers and doubts are known. */
  selfCheck(): Promise<SelfCheck>;
}

/** Open the model that lies beside this file. The provider takes every node of the graph; else a ProviderError. */
export function load(options?: {
  provider?: "cpu" | "cuda" | "tensorrt" | "webgpu" | "coreml" | "dml";
}): Promise<Classifier>;

/** The version of onnxruntime-node. */
export const version: string;
