// An answer on the page: bars of the classes, doubts in words, and the pixels that the model was given.

const MOST_BARS = 12; // of more classes the likeliest are shown

/** Make the bars of all classes, or of the likeliest; returns what moves them. */
export function makeBars(list, classes) {
  const rows = classes.slice(0, MOST_BARS).map(() => {
    const item = document.createElement("li");
    const [label, track, fill, value] = ["span", "span", "span", "span"].map((tag) => document.createElement(tag));
    [label.className, track.className, fill.className, value.className] = ["name", "track", "fill", "value"];
    track.append(fill);
    item.append(label, track, value);
    list.append(item);
    return { item, label, fill, value };
  });
  return (probabilities, best) => {
    const places = classes.map((_, at) => at);
    if (probabilities && classes.length > rows.length) places.sort((one, other) => probabilities[other] - probabilities[one]);
    rows.forEach(({ item, label, fill, value }, row) => {
      const share = probabilities ? probabilities[places[row]] : 0;
      label.textContent = classes[places[row]];
      fill.style.width = `${100 * share}%`;
      value.textContent = probabilities ? `${(100 * share).toFixed(1)} %` : "";
      item.toggleAttribute("data-best", places[row] === best);
    });
  };
}

/** Say each reason to doubt in a line of its own; "" takes them away. */
export function showDoubts(list, reason) {
  const lines = reason ? reason.split("; ") : [];
  list.replaceChildren(
    ...lines.map((line) => {
      const item = document.createElement("li");
      const word = document.createElement("strong");
      word.textContent = "Doubtful: ";
      item.append(word, line);
      return item;
    }),
  );
}

/** Draw pixels as the model takes them. */
export function showPixels(canvas, pixels, { width, height, channels }) {
  const image = new ImageData(width, height);
  for (let at = 0; at < width * height; at++) {
    for (let channel = 0; channel < 3; channel++) {
      image.data[4 * at + channel] = pixels[channels === 1 ? at : 3 * at + channel];
    }
    image.data[4 * at + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}
