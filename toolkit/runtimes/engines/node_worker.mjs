// One ONNX Runtime of JavaScript, spoken to in the frames of frames.py on standard input and output.
// Arguments: the folder that holds node_modules, and the package.
import { createRequire } from "node:module";
import { join } from "node:path";

const [folder, name] = process.argv.slice(2);
const require = createRequire(join(folder, "package.json"));
const ort = require(name);
// Standard output carries the frames and nothing else.
console.log = console.info = console.warn = console.error;

const MAGIC = Buffer.from("TKF1");
const TYPES = {
  "|u1": ["uint8", Uint8Array],
  "|i1": ["int8", Int8Array],
  "<i4": ["int32", Int32Array],
  "<i8": ["int64", BigInt64Array],
  "<f4": ["float32", Float32Array],
  "<f8": ["float64", Float64Array],
  "|b1": ["bool", Uint8Array],
};
const NUMPY = Object.fromEntries(Object.entries(TYPES).map(([dtype, [type]]) => [type, dtype]));

let session;

async function* readFrames() {
  const parts = process.stdin[Symbol.asyncIterator]();
  let held = Buffer.alloc(0);
  async function take(size) {
    const chunks = [held];
    let length = held.length;
    while (length < size) {
      const next = await parts.next();
      if (next.done) return null;
      chunks.push(next.value);
      length += next.value.length;
    }
    const all = Buffer.concat(chunks);
    held = all.subarray(size);
    return all.subarray(0, size);
  }
  for (;;) {
    const start = await take(8);
    if (start === null) return;
    const header = JSON.parse(await take(start.readUInt32LE(4)));
    const arrays = {};
    for (const { name, dtype, shape } of header.arrays) {
      const [type, Values] = TYPES[dtype];
      const count = shape.reduce((product, size) => product * size, 1);
      // A copy, because a typed array must start at a multiple of its element's size.
      const bytes = Uint8Array.from(await take(count * Values.BYTES_PER_ELEMENT));
      arrays[name] = { type, shape, values: new Values(bytes.buffer) };
    }
    yield { header, arrays };
  }
}

function writeFrame(header, tensors) {
  const entries = Object.entries(tensors);
  const index = entries.map(([name, tensor]) => ({ name, dtype: NUMPY[tensor.type], shape: [...tensor.dims] }));
  const text = Buffer.from(JSON.stringify({ ...header, arrays: index }));
  const start = Buffer.alloc(8);
  MAGIC.copy(start);
  start.writeUInt32LE(text.length, 4);
  const buffers = entries.map(([, { data }]) => Buffer.from(data.buffer, data.byteOffset, data.byteLength));
  process.stdout.write(Buffer.concat([start, text, ...buffers]));
}

async function answer({ header, arrays }) {
  if (header.verb === "load") {
    const options = { executionProviders: [header.provider], intraOpNumThreads: header.threads };
    if (ort.env?.wasm && header.threads) ort.env.wasm.numThreads = header.threads;
    session = await ort.InferenceSession.create(arrays.model.values, options);
    const { node, web, common } = ort.env.versions;
    return [{ version: web ?? node ?? common, node: process.version }, {}];
  }
  const feeds = Object.entries(arrays).map(([key, { type, shape, values }]) => [key, new ort.Tensor(type, values, shape)]);
  return [{}, await session.run(Object.fromEntries(feeds))];
}

for await (const frame of readFrames()) {
  try {
    writeFrame(...(await answer(frame)));
  } catch (error) {
    writeFrame({ error: String(error?.message ?? error) }, {});
  }
}
process.exit(0);
