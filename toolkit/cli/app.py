"""The command line's root: every command by name."""

from __future__ import annotations

__all__ = ["app", "main"]

import sys
from typing import Annotated

import typer

import toolkit
from toolkit.cli.bench import bench_command
from toolkit.cli.boundary import prepare_streams, run_guarded, split_debug
from toolkit.cli.compare import compare_command
from toolkit.cli.data import data_app
from toolkit.cli.demo import demo_command
from toolkit.cli.doctor import doctor_command
from toolkit.cli.evaluate import evaluate_command
from toolkit.cli.export import export_command
from toolkit.cli.inspect import inspect_command
from toolkit.cli.learning_curve import learning_curve_command
from toolkit.cli.parity import parity_command
from toolkit.cli.predict import predict_command
from toolkit.cli.quickstart import quickstart_command
from toolkit.cli.report import report_command
from toolkit.cli.runtimes import runtimes_app
from toolkit.cli.selftest import selftest_command
from toolkit.cli.train import train_command
from toolkit.cli.tune import tune_command
from toolkit.environment import claim_process
from toolkit.holding import release_claims

app = typer.Typer(
    name="toolkit",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # Rich's help takes 0.14 s to import, more than everything else of --help together
    help="Train a small image classifier, ship it as one self-contained .onnx, and prove that its answers hold.",
    epilog="--debug after any command shows the traceback of a failure.",
)
app.add_typer(data_app, name="data")
app.add_typer(runtimes_app, name="runtimes")
app.command("quickstart")(quickstart_command)
app.command("train")(train_command)
app.command("tune")(tune_command)
app.command("learning-curve")(learning_curve_command)
app.command("evaluate")(evaluate_command)
app.command("export")(export_command)
app.command("inspect")(inspect_command)
app.command("selftest")(selftest_command)
app.command("parity")(parity_command)
app.command("demo")(demo_command)
app.command("predict")(predict_command)
app.command("bench")(bench_command)
app.command("compare")(compare_command)
app.command("report")(report_command)
app.command("doctor")(doctor_command)


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


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and leave with its exit code."""
    claim_process()
    prepare_streams()
    debug, rest = split_debug(sys.argv[1:] if arguments is None else arguments)
    try:
        sys.exit(run_guarded(lambda: app(args=rest, prog_name="toolkit"), debug=debug))
    finally:
        release_claims()
