"""The command line's root: every command by name."""

from __future__ import annotations

__all__ = ["app", "main", "run_words"]

import atexit
import gc
import importlib
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

import toolkit
from toolkit.cli.boundary import ignore_sigterm, prepare_streams, run_guarded, split_debug
from toolkit.cli.help_page import ROOT_EPILOG, GroupedCommand, finish_help
from toolkit.environment import claim_process
from toolkit.holding import release_claims

# Verb: what it is for, in at most 60 characters. The module of its name holds `<verb>_command`, or `<verb>_app`.
VERBS = {
    "quickstart": "From nothing to a verified model.",
    "train": "Train the network, or go on with a run, and judge it.",
    "recipes": "How to train: the recipes, and every field of one.",
    "tune": "Search fields of a recipe by cross-validation.",
    "learning-curve": "Measure accuracy against the size of the training set.",
    "evaluate": "Judge a run or a model file on test images.",
    "runs": "What was trained and exported, with its accuracy.",
    "export": "Write a run as one self-contained .onnx.",
    "inspect": "Say what an .onnx file is.",
    "selftest": "Replay the golden vectors of a model's card.",
    "parity": "Compare engines with the float64 reference.",
    "demo": "Serve a model's web kit on this machine and open it.",
    "serve": "Answer over HTTP, by the Open Inference Protocol v2.",
    "predict": "Predict images: one row each, -o - for stdout.",
    "bench": "Measure latency and throughput of a model.",
    "compare": "Hold two bench results beside one another.",
    "report": "Make one page of many results: Markdown, with a picture.",
    "prove": "Show all that can be shown of a device, in ten minutes.",
    "doctor": "Say which providers really work here.",
    "data": "Data sets: fetch, describe, look at them.",
    "runtimes": "The engines of the parity matrix.",
}
# Rich's help takes 0.14 s to import, more than everything else of --help together.
STYLE: dict[str, Any] = {"pretty_exceptions_enable": False, "rich_markup_mode": None}


class Verbs(TyperGroup):
    """The root: it knows each verb by its line, and imports what a command is made of when that command is called."""

    def __init__(self, **attributes: Any) -> None:
        lines = {verb: TyperCommand(verb, help=line, rich_markup_mode=None) for verb, line in VERBS.items()}
        super().__init__(**{**attributes, "commands": lines})

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the verb, its command, and the arguments that are left for it."""
        verb, line, rest = super().resolve_command(ctx, args)
        return verb, line and _load_command(str(verb)), rest


def _load_command(verb: str) -> Any:
    name = verb.replace("-", "_")
    module = importlib.import_module(f"toolkit.cli.commands.{name}")
    if hasattr(module, f"{name}_app"):
        group = get_command(getattr(module, f"{name}_app"))
        for inner, command in group.commands.items():  # type: ignore[attr-defined]  # Typer's private Click
            finish_help(command, f"{verb} {inner}")
        return group
    alone = typer.Typer(add_completion=False, **STYLE)
    alone.command(verb, cls=GroupedCommand)(getattr(module, f"{name}_command"))
    command = get_command(alone)
    finish_help(command, verb)
    return command


app = typer.Typer(
    name="toolkit",
    cls=Verbs,
    no_args_is_help=True,
    help="Train a small image classifier, ship it as one .onnx, prove its answers.",
    epilog=ROOT_EPILOG,
    **STYLE,
)


def _print_version(value: bool) -> None:
    if value:
        typer.echo(f"toolkit {toolkit.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None: ...


def run_words(words: list[str], *, debug: bool) -> int:
    """Run what was typed after `toolkit` and return its exit code; tracebacks appear only with `debug`."""
    # Not alone: else Typer would print errors of its own, in its own form.
    return run_guarded(lambda: app(args=words, prog_name="toolkit", standalone_mode=False), debug=debug)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    claim_process()
    # Else the interpreter would look through all that was imported for circles before it goes: a tenth of its time.
    atexit.register(gc.freeze)
    prepare_streams()
    debug, rest = split_debug(sys.argv[1:] if arguments is None else arguments)
    try:
        code = run_words(rest, debug=debug)
    finally:
        release_claims()
    ignore_sigterm()
    sys.exit(code)
