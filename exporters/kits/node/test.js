import assert from "node:assert/strict";
import test from "node:test";
import { load, PictureError, ProviderError } from "./index.js";

const model = await load();
const { height, width, channels } = model.card.input;

test("the golden vectors of the card give the answers and the doubts that it knows", async () => {
  const { status, reason } = await model.selfCheck();
  assert.notEqual(status, "fail", reason);
});

test("a picture gives a class and probabilities that sum to one", async () => {
  const data = Uint8Array.from({ length: height * width * channels }, (_, at) => (at * 37) % 256);
  const { label, probability, probabilities, doubtful, reason } = await model.predict({ data, width, height, channels });
  assert.ok(model.classes.includes(label));
  assert.ok(probability > 0 && probability <= 1);
  assert.ok(Math.abs(probabilities.reduce((sum, value) => sum + value, 0) - 1) < 1e-3);
  assert.equal(doubtful, reason !== "");
});

test("a provider that is not there is an error, never another one", async () => {
  await assert.rejects(load({ provider: "no-such-provider" }), ProviderError);
});

test("bytes that are not those of the size that is given are refused", async () => {
  await assert.rejects(model.predict({ data: new Uint8Array(10), width, height, channels }), PictureError);
});

test("a drawing that is blank is refused", { skip: model.card.input.fit !== "mnist" }, async () => {
  const data = new Uint8Array(100 * 100).fill(255);
  await assert.rejects(model.predict({ data, width: 100, height: 100, channels: 1 }), PictureError);
});
