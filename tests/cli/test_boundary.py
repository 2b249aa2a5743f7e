"""Errors become one line and an exit code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from commands_here import run_here

from toolkit import errors
from toolkit.cli.boundary import run_guarded, split_debug

ROOT = Path(__file__).resolve().parents[2]


def raising(error: BaseException):  # noqa: ANN201 - a closure
    def call() -> None:
        raise error

    return call


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.CheckFailedError("x"), 1),
        (errors.UsageError("x"), 2),
        (errors.DataError("x"), 3),
        (errors.ModelError("x"), 4),
        (errors.ResourceError("x"), 5),
        (errors.ProviderError("x"), 5),
        (errors.WorkerError("x", log="y"), 5),
        (errors.DownloadError("x"), 6),
        (errors.ToolkitError("x"), 70),
        (ValueError("x"), 70),
        (ImportError("x", name="torch.nn"), 5),
        (ImportError("x", name="toolkit.cli"), 70),
        (MemoryError(), 5),
        (OSError(28, "No space left on device", "file"), 5),
        (KeyboardInterrupt(), 130),
        (SystemExit(3), 3),
        (SystemExit(None), 0),
        (SystemExit("text"), 1),
    ],
)
def test_each_error_has_its_exit_code(error: BaseException, code: int) -> None:
    assert run_guarded(raising(error), debug=False) == code


def test_an_error_is_one_line_without_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    run_guarded(raising(errors.DataError("first\nsecond")), debug=False)
    text = capsys.readouterr()
    assert text.err == "error: first second\n"
    assert text.out == ""


def test_a_library_that_torch_does_not_find_is_no_bug(capsys: pytest.CaptureFixture[str]) -> None:
    words = "libcudart.so.*[0-9] not found"
    assert run_guarded(raising(ValueError(f"{words} in the system path ['/a']")), debug=False) == 5
    said = f"a package is missing or broken: {words}; mend it with: pip install --force-reinstall 'torch>=2.11'"
    assert capsys.readouterr().err == f"error: {said}\n"


@pytest.mark.parametrize(
    ("words", "mend"),
    [
        ("libcublas.so.13: cannot open shared object file", "pip install --force-reinstall 'torch>=2.11'"),
        ("No module named 'rich'", "pip install onnx-parity-toolkit"),
    ],
)
def test_an_import_that_fails_names_what_brings_it(words: str, mend: str, capsys: pytest.CaptureFixture[str]) -> None:
    run_guarded(raising(ImportError(words)), debug=False)
    assert capsys.readouterr().err == f"error: a package is missing or broken: {words}; mend it with: {mend}\n"


def test_debug_shows_the_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    run_guarded(raising(errors.DataError("x")), debug=True)
    assert "Traceback" in capsys.readouterr().err


def test_a_bug_asks_to_be_reported(capsys: pytest.CaptureFixture[str]) -> None:
    run_guarded(raising(ZeroDivisionError("deep")), debug=False)
    text = capsys.readouterr().err
    assert "bug" in text
    assert "ZeroDivisionError: deep" in text
    assert "Traceback" not in text


@pytest.mark.parametrize(
    ("given", "debug", "rest"),
    [
        (["train", "--debug"], True, ["train"]),
        (["--debug", "bench", "x"], True, ["bench", "x"]),
        (["predict", "--", "--debug"], False, ["predict", "--", "--debug"]),
        ([], False, []),
    ],
)
def test_debug_is_taken_wherever_it_stands_before_two_dashes(given: list[str], debug: bool, rest: list[str]) -> None:
    assert split_debug(given) == (debug, rest)


def test_errors_cross_a_process_boundary() -> None:
    rebuilt = errors.error_from_json({"type": "ProviderError", "message": "m"})
    assert type(rebuilt) is errors.ProviderError
    assert str(rebuilt) == "m"
    assert type(errors.error_from_json({"type": "Unheard", "message": "m"})) is errors.ToolkitError


def test_suggestions_name_the_nearest_or_nothing() -> None:
    assert errors.suggest("cdua", ["cpu", "cuda"]) == " (did you mean 'cuda'?)"
    assert errors.suggest("zzz", ["cpu", "cuda"]) == ""


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nonsense"], 2, "error: there is no command nonsense; for help: toolkit --help\n"),
        (["trian"], 2, "error: there is no command trian; did you mean train?; for help: toolkit --help\n"),
        (["runtimes", "lst"], 2, "there is no command lst; did you mean list?; for help: toolkit runtimes --help\n"),
        (
            ["bench", "--precison", "fp16"],
            2,
            "no option --precison; did you mean --precision?; for help: toolkit bench ",
        ),
        (["train", "--foo"], 2, "error: there is no option --foo; for help: toolkit train --help\n"),
        (
            ["train", "--seed", "x"],
            2,
            "error: --seed is 'x'; expected a whole number; for help: toolkit train --help\n",
        ),
        (
            ["demo", "--port", "99999"],
            2,
            "error: --port is 99999; expected 0<=x<=65535; for help: toolkit demo --help\n",
        ),
        (["bench", "--batch"], 2, "error: --batch needs a value; for help: toolkit bench --help\n"),
        (["bench", "--json=3"], 2, "error: --json takes no value; for help: toolkit bench --help\n"),
        (["compare", "a"], 2, "error: the argument new is missing; for help: toolkit compare --help\n"),
        (["doctor", "x"], 2, "error: more was given than the command takes: x; for help: toolkit doctor --help\n"),
        (["train", "--recipe", "fats"], 2, "did you mean 'fast'"),
        (["train", "--set", "learning_rat=1"], 2, "did you mean 'learning_rate'"),
        (["train", "--set", "epochs=many"], 2, "whole number"),
        (["train", "--device", "cuda", "--data", "mnist-mini"], 5, "cuda"),
        (["export", "no-such-run"], 2, "no run"),
        (["export"], 2, "toolkit train"),
        (["selftest"], 2, "toolkit export"),
        (["selftest", "none.onnx"], 2, "none.onnx"),
        (["inspect", "none.onnx"], 2, "none.onnx"),
        (["parity", "none.onnx"], 2, "none.onnx"),
        (["parity", __file__, "--runtime", ","], 2, "names nothing"),
        (["parity", __file__, "--threads", "x"], 2, "--threads"),
    ],
)
def test_bad_requests_end_with_their_code_and_no_traceback(arguments: list[str], code: int, words: str) -> None:
    if arguments[:3] == ["train", "--device", "cuda"]:
        import torch

        if torch.cuda.is_available():
            pytest.skip("a CUDA device is present, so asking for it is no error")
    done = run_here(*arguments)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def toolkit(arguments: str, *, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a shell line in which `toolkit` is ours."""
    line = arguments.replace("toolkit ", f"{sys.executable} -m toolkit ")
    python_path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    merged = {**os.environ, "PYTHONPATH": python_path, **environment}
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, cwd=cwd, env=merged)


def test_closed_streams_swallow_their_text_and_nothing_else(model_path: Path, tmp_path: Path) -> None:
    done = toolkit(f"toolkit selftest --json '{model_path}' 2>&-", cwd=tmp_path)
    assert done.returncode == 0
    assert json.loads(done.stdout)["passed"] is True
    assert toolkit(f"toolkit selftest '{model_path}' >&-", cwd=tmp_path).returncode == 0


def test_names_with_brackets_and_bytes_that_are_no_text_survive(model_path: Path, tmp_path: Path) -> None:
    strange = tmp_path / "a[/b] x" / "m [final].onnx"
    strange.parent.mkdir(parents=True)
    strange.write_bytes(model_path.read_bytes())
    done = toolkit("toolkit inspect 'a[/b] x/m [final].onnx'", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "a[/b] x/m [final].onnx" in done.stdout
    (tmp_path / os.fsdecode(b"m\xff.onnx")).write_bytes(model_path.read_bytes())
    done = toolkit("toolkit selftest --json $'m\\xff.onnx'", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["model"]["path"] == os.fsdecode(b"m\xff.onnx")
    assert toolkit("toolkit inspect 'a[/b] x/m [final].onnx'", cwd=tmp_path, PYTHONIOENCODING="ascii").returncode == 0


def test_sigterm_leaves_with_143_and_no_temporary_files(model_path: Path, tmp_path: Path) -> None:
    folder = tmp_path / "temporary"
    folder.mkdir()
    line = (
        f"toolkit bench '{model_path}' --batch 1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16 & sleep 4; kill -TERM $!; wait $!"
    )
    done = toolkit(line, cwd=tmp_path, TMPDIR=str(folder))
    assert done.returncode == 143
    assert "Traceback" not in done.stderr
    assert list(folder.glob("toolkit-*")) == []


def test_a_word_that_nobody_knows_is_refused_with_the_nearest_one() -> None:
    errors.require_known("a", ("a", "b"), what="letter")
    with pytest.raises(
        errors.UsageError, match=r"^unknown fruit 'aple' \(did you mean 'apple'\?\); known: pear, apple$"
    ):
        errors.require_known("aple", (name for name in ("pear", "apple")), what="fruit")
    with pytest.raises(errors.UsageError, match=r"unknown fruit 'pomme' \(did you mean 'apple'\?\)"):
        errors.require_known("pomme", ("pear", "apple"), what="fruit", meant="apple")


def test_a_second_sigterm_while_a_command_leaves_is_no_traceback(tmp_path: Path) -> None:
    program = (
        "import os, signal, weakref\nfrom toolkit.cli.app import main\n"
        "class Kept: pass\nkept = Kept()\n"
        "weakref.finalize(kept, lambda: os.kill(os.getpid(), signal.SIGTERM))\n"
        "main(['--version'])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
