"""A folder of pictures to a CSV, as one writes it first, for `startup.py`: `plain_predict.py MODEL FOLDER OUTPUT`."""

import csv
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
paths = sorted(Path(sys.argv[2]).rglob("*.png"))
with Path(sys.argv[3]).open("w", newline="") as stream:
    for place in range(0, len(paths), 64):
        part = paths[place : place + 64]
        images = np.stack([np.asarray(Image.open(path).convert("L")) for path in part])
        probabilities, labels = session.run(["probabilities", "label"], {"images": images})
        rows = zip(part, labels, probabilities, strict=True)
        csv.writer(stream).writerows((path, label, row[label]) for path, label, row in rows)
