"""The library inside somebody else's program: threads, several models, forks; nothing of the process is changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from toolkit import Classifier
from toolkit.data.load import load_mini
from toolkit.errors import ResourceError, UsageError

IMAGES = load_mini().test.images[:64]

# What the programs below begin with: a model, pictures with odd metadata, and what the process looks like.
START = """
import io, os, sys, threading, warnings, signal, locale
import numpy as np
from PIL import Image, ImageFile
from toolkit import Classifier
from toolkit.data.load import load_mini

MODEL, IMAGES = sys.argv[1], load_mini().test.images[:48]

def odd_jpeg(pixels, number):
    exif = Image.Exif()
    exif[0x010F] = "a camera of some make"
    block = exif.tobytes()
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95, exif=block[:-1 - number % 12])
    return stream.getvalue()

JPEGS = [odd_jpeg(pixels, number) for number, pixels in enumerate(IMAGES)]

def state():
    mask = os.umask(0o22); os.umask(mask)
    signals = {number: signal.getsignal(number) for number in signal.valid_signals()}
    limits = Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES, warnings.showwarning, locale.setlocale(locale.LC_ALL)
    return list(warnings.filters), np.geterr(), dict(os.environ), os.getcwd(), mask, signals, limits, sys.getswitchinterval()
"""


def run(program: str, model: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", START + program, str(model)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_eight_threads_leave_the_process_as_it_was(model_path: Path) -> None:
    """Each thread decodes pictures with broken metadata, in two Classifiers at once."""
    program = """
before, expected = state(), None
first, second = Classifier(MODEL), Classifier(MODEL, threads=1)
expected = first.predict(JPEGS).labels
wrong = []
def work():
    for _ in range(6):
        for classifier in (first, second):
            prediction = classifier.predict(JPEGS)
            if prediction.labels != expected or not all("EXIF" in text for text in prediction.messages):
                wrong.append(prediction)
threads = [threading.Thread(target=work) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
assert not wrong, wrong[0]
assert state() == before
print("right")
"""
    assert run(program, model_path) == "right\n"


def test_a_strict_program_gets_the_same_answers(model_path: Path) -> None:
    """Warnings and floating-point trouble are errors there."""
    program = """
small = [Image.fromarray(255 - pixels).resize((90, 70)) for pixels in IMAGES]
calm = Classifier(MODEL).predict([*JPEGS, *small])
warnings.simplefilter("error")
np.seterr(all="raise")
before = state()
with Classifier(MODEL) as classifier:
    strict = classifier.predict([*JPEGS, *small])
    assert strict.labels == calm.labels and strict.messages == calm.messages
    classifier.predict(IMAGES.astype(np.float64))
assert state() == before
print("right")
"""
    assert run(program, model_path) == "right\n"


def test_the_log_of_the_programs_own_sessions_stays_on(model_path: Path) -> None:
    program = """
import onnx, onnxruntime
Classifier(MODEL).predict(IMAGES)
node = onnx.helper.make_node("Identity", ["x"], ["y"])
floats = [onnx.helper.make_tensor_value_info(name, 1, [1]) for name in "xy"]
unused = onnx.helper.make_tensor("nobody_reads_this", 1, [1], [1.0])
graph = onnx.helper.make_graph([node], "g", floats[:1], floats[1:], [unused])
model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=10)
onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
"""
    done = subprocess.run(
        [sys.executable, "-c", START + program, str(model_path)], capture_output=True, text=True, check=True
    )
    assert "nobody_reads_this" in done.stderr


def test_one_that_a_thread_opened_outlives_the_thread(model_path: Path) -> None:
    program = """
opened = []
thread = threading.Thread(target=lambda: opened.append(Classifier(MODEL)))
thread.start()
thread.join()
print(opened[0].predict(IMAGES).labels == Classifier(MODEL).predict(IMAGES).labels)
"""
    assert run(program, model_path) == "True\n"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_forked_child_is_told_to_open_its_own_and_harms_nobody(model_path: Path) -> None:
    program = """
from toolkit.errors import ResourceError, UsageError
classifier = Classifier(MODEL, threads=8)
expected = classifier.predict(IMAGES).labels
child = os.fork()
if not child:
    signal.alarm(60)
    try:
        classifier.predict(IMAGES)
        os._exit(1)
    except UsageError as error:
        told = str(error)
    classifier.close()
    del classifier
    right = Classifier(MODEL).predict(IMAGES).labels == expected
    os._exit(0 if right and "forked child: open one here" in told else 2)
status = os.waitpid(child, 0)[1]
print(status, classifier.predict(IMAGES).labels == expected)
"""
    assert run(program, model_path) == "0 True\n"


@pytest.mark.parametrize("runtime", ["tract", pytest.param("plain-c", marks=pytest.mark.slow)])
def test_an_engine_neither_writes_nor_compiles_in_the_programs_folder(
    model_path: Path, tmp_path: Path, runtime: str
) -> None:
    from toolkit.runtimes.registry import find_runtime, import_engine

    try:
        import_engine(find_runtime(runtime))
    except ResourceError as error:
        pytest.skip(str(error))
    theirs = {
        "model.onnx": b"my own",
        "model.c": b"mine",
        "x.c": b"__attribute__((constructor)) void f() { _exit(9); }",
    }
    for name, data in theirs.items():
        (tmp_path / name).write_bytes(data)
    program = f"""
import sys
from toolkit import Classifier
import numpy
print(len(Classifier(sys.argv[1], runtime={runtime!r}).predict(numpy.zeros((3, 28, 28), numpy.uint8))))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(model_path)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "3\n"), done.stderr
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()} == theirs


def test_a_closed_one_says_so(model_path: Path) -> None:
    with Classifier(model_path) as classifier:
        classifier.predict(IMAGES)
    classifier.close()
    with pytest.raises(UsageError, match="is closed; open another one"):
        classifier.predict(IMAGES)
    assert (classifier.provider, classifier.classes[0], classifier.card.input.height) == ("cpu", "0", 28)
    assert np.array_equal(IMAGES, load_mini().test.images[:64])
