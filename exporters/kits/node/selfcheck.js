// Replays the golden vectors of the card in onnxruntime-node and writes selfcheck.json: node selfcheck.js [provider]
import { writeFile } from "node:fs/promises";

try {
  const { load, version } = await import("./index.js");
  const model = await load({ provider: process.argv[2] ?? "cpu" });
  const result = { runtime: "onnxruntime-node", version, ...(await model.selfCheck()) };
  await writeFile(new URL("selfcheck.json", import.meta.url), `${JSON.stringify(result, null, 2)}\n`);
  console.log(JSON.stringify(result));
  process.exitCode = result.status === "fail" ? 1 : 0;
} catch (error) {
  const isBare = error.code === "ERR_MODULE_NOT_FOUND";
  console.error(isBare ? "onnxruntime-node is not installed; run here: npm install" : error.message.split("\n")[0]);
  process.exitCode = 5;
}
