// The model in Node: `const model = await load(); const { label, doubtful } = await model.predict(picture);`
import { existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import * as ort from "onnxruntime-node";
import { Classifier, PictureError } from "./classifier.js";

export { Classifier, PictureError };

/** A provider is not active; the message says what is missing. */
export class ProviderError extends Error {}

const PROVIDERS = ort.listSupportedBackends().map(({ name }) => name);
const NVIDIA = ["cuda", "tensorrt"];
const here = (name) => new URL(name, import.meta.url);

/** The version of the runtime. */
export const version = ort.env.versions.node ?? ort.env.versions.common;

/**
 * Open the model that lies beside this file.
 * @param {{ provider?: string }} options a provider of onnxruntime-node; it takes every node of the graph, or this fails
 * @returns {Promise<Classifier>}
 * @throws {ProviderError} it is not active
 */
export async function load({ provider = "cpu" } = {}) {
  if (!PROVIDERS.includes(provider)) {
    throw new ProviderError(`unknown provider "${provider}"; onnxruntime-node ${version} has here: ${PROVIDERS.join(", ")}`);
  }
  const missing = missingFile(provider);
  if (missing) {
    const fetch = `node ${missing.package}/script/install`;
    throw new ProviderError(`provider ${provider} is not active: onnxruntime-node comes without ${missing.file}; fetch it with: ${fetch}`);
  }
  const [model, card, verdicts] = await Promise.all([
    readFile(here("model.onnx")),
    readFile(here("model.card.json"), "utf8"),
    readFile(here("golden_doubts.json"), "utf8"),
  ]);
  const strict = provider === "cpu" ? {} : { extra: { session: { disable_cpu_ep_fallback: "1" } } };
  try {
    const session = await ort.InferenceSession.create(model, { executionProviders: [provider], ...strict });
    return new Classifier(ort, session, JSON.parse(card), JSON.parse(verdicts));
  } catch (error) {
    if (provider === "cpu") throw new Error(`the model cannot be run: ${sumUp(error.message)}`, { cause: error });
    const needs = NVIDIA.includes(provider) ? "; it needs CUDA 12, cuDNN 9 and an NVIDIA driver" : "";
    throw new ProviderError(`provider ${provider} is not active: ${sumUp(error.message)}${needs}`, { cause: error });
  }
}

/** NVIDIA's libraries of ONNX Runtime are too large for npm: tell which is not there. */
function missingFile(provider) {
  if (!NVIDIA.includes(provider)) return null;
  const { resolve } = createRequire(import.meta.url);
  const folder = resolve("onnxruntime-node").replace(/[/\\]dist[/\\][^/\\]*$/, "");
  const file = `libonnxruntime_providers_${provider}.so`;
  return existsSync(`${folder}/bin/napi-v6/${process.platform}/${process.arch}/${file}`) ? null : { package: folder, file };
}

/** One line without the paths of ONNX Runtime's own sources. */
function sumUp(words) {
  return words.replace(/^\/\S+:\d+ .*?(was false\. )/s, "").replaceAll(/\s+/g, " ").trim();
}
