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
 * @returns {Promise<Classifier & { provider: string, device: string, passedOver: string }>} `provider` is what runs it,
 *   `device` names the GPU that WebGPU took, `passedOver` says why a faster provider is not used
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
  let passedOver = "";
  for (const one of wanted) {
    try {
      const session = await ort.InferenceSession.create(new Uint8Array(model), { executionProviders: [one] });
      const device = one === "webgpu" ? nameDevice((await ort.env.webgpu.device).adapterInfo) : "";
      return Object.assign(new Classifier(ort, session, card, verdicts), { provider: one, device, passedOver });
    } catch (error) {
      const step = /fetch/.test(error.message) ? `; ${WHOLE}` : "";
      const reason = error.message.replace(/\.? Build with .*/, "").replace(/^no available backend.* ERR: \[\w+\] (Error: )?/, "");
      if (one === wanted.at(-1)) throw new Error(`${one} cannot run the model: ${reason}${step}`, { cause: error });
      passedOver = `not on ${one}: ${reason}`;
    }
  }
}

/** A CPU in a GPU's place is named as one: its answers are a GPU's, its times are not. */
function nameDevice({ vendor, architecture, device, description, isFallbackAdapter }) {
  const name = description || [vendor, device || architecture].filter(Boolean).join(" ") || "a GPU without a name";
  return isFallbackAdapter ? `${name}, a software device` : name;
}

async function fetchFile(name, kind) {
  const address = new URL(name, import.meta.url);
  const answer = await fetch(address).catch(() => null);
  if (!answer?.ok) {
    throw new Error(`${address.pathname} cannot be fetched (${answer ? answer.status : "no answer"}); ${WHOLE}`);
  }
  return answer[kind]();
}
