// Replays the golden vectors of the card in onnxruntime-node and writes selfcheck.json.
import { writeFile } from "node:fs/promises";

try {
  const { load, version } = await import("./index.js");
  const model = await load();
  const result = { runtime: "onnxruntime-node", version, ...(await model.selfCheck()) };
  await writeFile(new URL("selfcheck.json", import.meta.url), `${JSON.stringify(result, null, 2)}\n`);
  console.log(JSON.stringify(result));
  process.exitCode = result.status === "fail" ? 1 : 0;
} catch (error) {
  console.error(`the model cannot be run: ${error.message.split("\n")[0]}`);
  process.exitCode = 5;
}
