// The model in Node: `const model = await load(); const { label } = await model.predict(picture);`
import { readFile } from "node:fs/promises";
import * as ort from "onnxruntime-node";
import { Classifier, PictureError } from "./classifier.js";

export { Classifier, PictureError };

const here = (name) => new URL(name, import.meta.url);

/**
 * Open the model that lies beside this file.
 * @param {{ provider?: string }} options an execution provider of onnxruntime-node; one that is not there is an error
 * @returns {Promise<Classifier>}
 */
export async function load({ provider = "cpu" } = {}) {
  const [model, card] = await Promise.all([readFile(here("model.onnx")), readFile(here("model.card.json"), "utf8")]);
  const session = await ort.InferenceSession.create(model, { executionProviders: [provider] });
  return new Classifier(ort, session, JSON.parse(card));
}

/** The version of the runtime. */
export const version = ort.env.versions.node ?? ort.env.versions.common;
