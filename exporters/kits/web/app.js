// The page: a pad to draw on where the model takes drawings, pictures dropped, pasted or chosen, and what it answers.
import * as ort from "./ort/@{ort_web_module}";
import { Classifier, PictureError } from "./classifier.js";
import { readPicture } from "./picture.js";
import { Pad } from "./pad.js";

const PROVIDERS = @{ort_web_providers}; // tried in this order; the page says which one runs
const find = (id) => document.getElementById(id);

ort.env.wasm.wasmPaths = new URL("./ort/", import.meta.url).href;
ort.env.wasm.numThreads = self.crossOriginIsolated ? 0 : 1; // threads need headers that a plain server does not send
ort.env.logLevel = "error";

async function open() {
  const [model, card] = await Promise.all([fetchFile("model.onnx", "arrayBuffer"), fetchFile("model.card.json", "json")]);
  for (const provider of PROVIDERS) {
    try {
      const session = await ort.InferenceSession.create(new Uint8Array(model), { executionProviders: [provider] });
      return { classifier: new Classifier(ort, session, card), provider };
    } catch (error) {
      if (provider === PROVIDERS.at(-1)) throw error;
    }
  }
}

async function fetchFile(name, kind) {
  const answer = await fetch(name);
  if (!answer.ok) throw new Error(`${name} cannot be fetched: ${answer.status}`);
  return answer[kind]();
}

/** Show bars for all classes; built once, then only moved. */
function makeBars(classes) {
  const list = find("bars");
  const rows = classes.map((name) => {
    const item = document.createElement("li");
    const [label, track, fill, value] = ["span", "span", "span", "span"].map((tag) => document.createElement(tag));
    [label.className, track.className, fill.className, value.className] = ["name", "track", "fill", "value"];
    label.textContent = name;
    track.append(fill);
    item.append(label, track, value);
    list.append(item);
    return { item, fill, value };
  });
  return (probabilities, best) => {
    rows.forEach(({ item, fill, value }, at) => {
      const share = probabilities ? probabilities[at] : 0;
      fill.style.width = `${100 * share}%`;
      value.textContent = probabilities ? `${(100 * share).toFixed(1)} %` : "";
      item.toggleAttribute("data-best", at === best);
    });
  };
}

function showSeen(pixels, { width, height, channels }) {
  const image = new ImageData(width, height);
  for (let at = 0; at < width * height; at++) {
    for (let channel = 0; channel < 3; channel++) {
      image.data[4 * at + channel] = pixels[channels === 1 ? at : 3 * at + channel];
    }
    image.data[4 * at + 3] = 255;
  }
  find("seen").getContext("2d").putImageData(image, 0, 0);
}

function say(text) {
  find("message").textContent = text;
}

/** One prediction at a time; of those asked for meanwhile only the last is made. */
function lastOnly(work) {
  let waiting = null;
  let running = null;
  return (...given) => {
    waiting = given;
    running ??= (async () => {
      while (waiting) {
        const now = waiting;
        waiting = null;
        await work(...now);
      }
      running = null;
    })();
    return running;
  };
}

async function main() {
  const { classifier, provider } = await open();
  const { card } = classifier;
  const moveBars = makeBars(card.classes);
  moveBars(null, -1);
  find("runtime").textContent = `onnxruntime-web ${ort.env.versions.web}, ${provider}; model ${card.name}, ${card.precision}`;

  const forget = () => {
    moveBars(null, -1);
    find("answer").textContent = "–";
    find("facts").textContent = "";
    find("seen").getContext("2d").clearRect(0, 0, card.input.width, card.input.height);
  };
  const answer = lastOnly(async (picture, wish) => {
    try {
      const prediction = await classifier.predict(picture, wish);
      say("");
      find("answer").textContent = prediction.label;
      moveBars(prediction.probabilities, prediction.index);
      showSeen(prediction.pixels, card.input);
      find("facts").textContent = [`${prediction.milliseconds.toFixed(1)} ms`, ...prediction.notes].join("; ");
      page.last = prediction;
    } catch (error) {
      forget();
      say(error instanceof PictureError ? error.message : `the picture cannot be classified: ${error.message}`);
    }
  });
  const takeFile = async (file) => {
    try {
      const picture = await readPicture(file);
      pad?.clear();
      await answer(picture, {});
    } catch (error) {
      forget();
      say(error.message);
    }
  };

  let pad = null;
  if (card.input.fit === "mnist" && card.input.channels === 1) {
    find("drawing").hidden = false;
    pad = new Pad(find("pad"), (picture) => (picture ? answer(picture, { fit: "mnist" }) : (forget(), say("nothing is drawn"))));
    find("clear").addEventListener("click", () => pad.clear());
  }
  find("file").addEventListener("change", ({ target }) => target.files[0] && takeFile(target.files[0]));
  listen(takeFile);

  const page = { classifier, provider, version: ort.env.versions.web, pad, answer, last: null };
  page.selfCheck = selfCheck(classifier);
  globalThis.kit = page;
  document.documentElement.dataset.ready = String(performance.now());
}

function listen(takeFile) {
  const drop = find("drop");
  const mark = (isOver) => drop.classList.toggle("over", isOver);
  addEventListener("dragover", (event) => {
    event.preventDefault();
    mark(true);
  });
  addEventListener("dragleave", () => mark(false));
  addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    const [file] = event.dataTransfer.files;
    if (file) takeFile(file);
    else say("drop a picture file: PNG, JPEG, WebP, BMP or GIF");
  });
  addEventListener("paste", (event) => {
    const file = [...event.clipboardData.files].at(0);
    if (file) takeFile(file);
    else say("what was pasted is no picture");
  });
}

async function selfCheck(classifier) {
  const badge = find("badge");
  try {
    const result = await classifier.selfCheck();
    badge.dataset.status = result.status;
    badge.textContent =
      result.status === "pass"
        ? `self-check: passed, ${result.vectors} pictures, largest error ${result.max_abs_logit_error.toExponential(1)}`
        : `self-check: ${result.status === "fail" ? "FAILED" : "not run"}, ${result.reason}`;
    return result;
  } catch (error) {
    badge.dataset.status = "fail";
    badge.textContent = `self-check: FAILED, ${error.message}`;
    return { status: "fail", vectors: 0, max_abs_logit_error: null, ms_per_image: null, reason: error.message };
  }
}

main().catch((error) => say(`the model cannot be opened: ${error.message}`));
