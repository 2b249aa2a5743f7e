// The model in a page: `const model = await load(); const { label, doubtful } = await model.predict(await readPicture(source));`
import * as ort from "./ort/@{ort_web_module}";
import { Classifier, PictureError } from "./classifier.js";
import { readPicture } from "./picture.js";

export { Classifier, PictureError, readPicture };

/** What this kit's build of ONNX Runtime runs on, the fastest first. */
export const PROVIDERS = @{ort_web_providers};

/** What runs the model, and its version. */
export const engine = "onnxruntime-web";
export const version = ort.env.versions.web;

const WHOLE = "copy the kit's folder whole";

ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
ort.env.wasm.numThreads = self.crossOriginIsolated ? 0 : 1; // threads need headers that a plain server does not send
ort.env.logLevel = "error";

/**
 * Open the model that lies beside this file.
 * @param {{ provider?: string }} options one of `PROVIDERS`: that or an error; without it the first that works
 * @returns {Promise<Classifier & { provider: string }>} `provider` is what runs it
 * @throws {Error} one sentence: a file or the provider is not there
 */
export async function load({ provider } = {}) {
  if (provider && !PROVIDERS.includes(provider)) {
    throw new Error(`unknown provider "${provider}"; this kit has: ${PROVIDERS.join(", ")}`);
  }
  const [model, card, verdicts] = await Promise.all([
    fetchFile("model.onnx", "arrayBuffer"),
    fetchFile("model.card.json", "json"),
    fetchFile("golden_doubts.json", "json"),
  ]);
  const wanted = provider ? [provider] : PROVIDERS;
  for (const one of wanted) {
    try {
      const session = await ort.InferenceSession.create(new Uint8Array(model), { executionProviders: [one] });
      return Object.assign(new Classifier(ort, session, card, verdicts), { provider: one });
    } catch (error) {
      if (one !== wanted.at(-1)) continue;
      const step = /fetch/.test(error.message) ? `; ${WHOLE}` : "";
      throw new Error(`${one} cannot run the model: ${error.message.replace(/\.? Build with .*/, "")}${step}`, { cause: error });
    }
  }
}

async function fetchFile(name, kind) {
  const address = new URL(name, import.meta.url);
  const answer = await fetch(address).catch(() => null);
  if (!answer?.ok) {
    throw new Error(`${address.pathname} cannot be fetched (${answer ? answer.status : "no answer"}); ${WHOLE}`);
  }
  return answer[kind]();
}
