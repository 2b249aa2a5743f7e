// The model behind the server that this page came from: as a kit's `index.js`, with a request in the place of a run.
import { Classifier, PictureError } from "./classifier.js";
import { readPicture } from "./picture.js";

export { Classifier, PictureError, readPicture };

/** What runs the model, and its version. */
export const engine = "toolkit serve";
export const version = "@{toolkit_version}";

const KINDS = { FP32: Float32Array, INT64: BigInt64Array };
const LENGTH = "Inference-Header-Content-Length";

/** What a `Classifier` makes of ONNX Runtime's. */
class Tensor {
  constructor(type, data, dims) {
    Object.assign(this, { type, data, dims });
  }
}

/** A session whose every run is a request: raw pixels there, JSON and raw outputs back. */
const session = {
  async run({ images }) {
    const answer = await fetch("@{model_address}/infer", { method: "POST", body: images.data, headers: { [LENGTH]: "0" } }).catch(
      () => null,
    );
    if (!answer) throw new Error("the server does not answer; is it still running?");
    if (!answer.ok) throw new Error((await answer.json()).error);
    const length = Number(answer.headers.get(LENGTH));
    const bytes = await answer.arrayBuffer();
    let at = length;
    const outputs = {};
    for (const { name, datatype, parameters } of JSON.parse(new TextDecoder().decode(bytes.slice(0, length))).outputs) {
      outputs[name] = { data: new KINDS[datatype](bytes.slice(at, at + parameters.binary_data_size)) };
      at += parameters.binary_data_size;
    }
    return outputs;
  },
};

/** Read what the model says of itself; errors are one sentence. */
export async function load() {
  const [card, verdicts] = await Promise.all(
    ["model.card.json", "golden_doubts.json"].map(async (name) => (await fetch(name)).json()),
  );
  return Object.assign(new Classifier({ Tensor }, session, card, verdicts), { provider: "@{provider}" });
}
