// The page: a pad to draw on where the model takes drawings, pictures chosen, dropped or pasted, and what it answers.
import { engine, load, PictureError, readPicture, version } from "./index.js";
import { Pad } from "./pad.js";
import { makeBars, showDoubts, showPixels } from "./answer.js";

const NOTHING = "–";
const find = (id) => document.getElementById(id);

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

/** Show the picture that somebody gave in the pad's place, or nothing. */
function showChosen(file) {
  const image = find("chosen");
  URL.revokeObjectURL(image.src);
  image.hidden = !file;
  if (!file) return image.removeAttribute("src");
  image.src = URL.createObjectURL(file);
  image.alt = file.name || "the picture that was pasted";
}

async function main() {
  const model = await load();
  const { card } = model;
  const takesDrawings = card.input.fit === "mnist" && card.input.channels === 1;
  const moveBars = makeBars(find("bars"), card.classes);
  const place = model.device ? `${model.provider} (${model.device})` : model.provider;
  find("runtime").textContent = `${engine} ${version}, ${place}; model ${card.name}, ${card.precision}`;
  if (model.passedOver) find("runtime").textContent += `; ${model.passedOver}`;
  find("hint").textContent = takesDrawings ? "Draw here" : "Choose a picture, or drop one here";

  const forget = () => {
    moveBars(null, -1);
    find("answer").textContent = NOTHING;
    find("probability").textContent = find("facts").textContent = "";
    showDoubts(find("doubt"), "");
    find("seen").getContext("2d").clearRect(0, 0, card.input.width, card.input.height);
    page.last = null;
  };
  const answer = lastOnly(async (picture, wish) => {
    try {
      const prediction = await model.predict(picture, wish);
      say("");
      find("answer").textContent = prediction.label;
      find("probability").textContent = `${(100 * prediction.probability).toFixed(1)} %`;
      showDoubts(find("doubt"), prediction.reason);
      moveBars(prediction.probabilities, prediction.index);
      showPixels(find("seen"), prediction.pixels, card.input);
      find("facts").textContent = [`${prediction.milliseconds.toFixed(1)} ms`, ...prediction.notes].join("; ");
      page.last = prediction;
    } catch (error) {
      forget();
      say(error instanceof PictureError ? error.message : `the picture cannot be classified: ${error.message}`);
    }
  });
  const takeFile = async (file) => {
    pad?.erase();
    find("hint").hidden = true;
    try {
      const picture = await readPicture(file);
      showChosen(file);
      await answer(picture, {});
    } catch (error) {
      clear();
      say(error.message);
    }
  };
  const clear = () => {
    showChosen(null);
    pad?.erase();
    find("hint").hidden = false;
    find("file").value = "";
    say("");
    forget();
  };
  const takeDrawing = (picture) => {
    if (!picture) return clear();
    find("hint").hidden = true;
    answer(picture, { fit: "mnist" });
  };
  const pad = takesDrawings ? new Pad(find("pad"), takeDrawing) : null;
  find("pad").hidden = !pad;
  find("clear").addEventListener("click", clear);
  if (!pad) find("stage").addEventListener("click", () => find("file").click());
  const takeChosen = () => find("file").files[0] && takeFile(find("file").files[0]);
  find("file").addEventListener("change", takeChosen);
  listen(takeFile);

  const page = { model, provider: model.provider, version, pad, answer, last: null };
  forget();
  takeChosen(); // while the model was loading
  page.selfCheck = selfCheck(model, place);
  globalThis.kit = page;
  document.documentElement.dataset.ready = String(performance.now());
}

function listen(takeFile) {
  const mark = (isOver) => find("stage").classList.toggle("over", isOver);
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

async function selfCheck(model, place) {
  const badge = find("badge");
  try {
    const result = await model.selfCheck();
    badge.dataset.status = result.status;
    badge.textContent =
      result.status === "pass"
        ? `self-check: passed on ${place}, ${result.vectors} pictures, largest error ${result.max_abs_logit_error.toExponential(1)}`
        : `self-check: ${result.status === "fail" ? "FAILED" : "not run"}, ${result.reason}`;
    return result;
  } catch (error) {
    badge.dataset.status = "fail";
    badge.textContent = `self-check: FAILED, ${error.message}`;
    return { status: "fail", vectors: 0, max_abs_logit_error: null, ms_per_image: null, reason: error.message };
  }
}

main().catch((error) => {
  find("failed").textContent = `The model cannot be opened: ${error.message}`;
  document.documentElement.dataset.state = "failed";
});
