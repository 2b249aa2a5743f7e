"""Options that mean the same in every command."""

from __future__ import annotations

__all__ = [
    "BUDGET",
    "DATA_KINDS",
    "THREADS",
    "AllowExternalData",
    "AllowFallback",
    "At",
    "Batch",
    "BudgetSeconds",
    "DataName",
    "Force",
    "ImageSize",
    "InputsPath",
    "Json",
    "ModelPath",
    "OutputPath",
    "Provider",
    "ProviderOrAuto",
    "Providers",
    "Runtimes",
    "SearchedProviders",
    "Shapes",
    "Threads",
    "TrainingData",
    "Values",
    "command_of",
    "option",
    "options_for",
]

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeAlias, TypeVar

import typer

from toolkit.api.words import DEFAULT_DATA
from toolkit.cli.completion import data_names, engines, models, one_of, providers, some_of
from toolkit.runtimes.providers import PROVIDERS

Complete: TypeAlias = Callable[[str], list[str]]


def option(words: str, *names: str, default: str | None = None, complete: Complete | None = None, **how: Any) -> Any:
    """Return an option that is called after its parameter where no name is given.

    Args:
        words: its line of the help.
        names: its own; a yes or no needs one, or Typer makes a `--no-` of it, too.
        default: words for what is taken where it is not given.
        complete: returns what fits the text of which a shell wants the end.
        how: further of `typer.Option`.
    """
    shown = True if default is None else default
    return typer.Option(*names, help=words, show_default=shown, autocompletion=complete, **how)


DATA_KINDS = (
    "mnist, fashion-mnist, kmnist, mnist-mini, "
    "or a path: class folders of images (plain, ZIP, tar), IDX files, NPZ, a CSV of pixels, Parquet with images."
)
Json = Annotated[bool, option("Print the report as JSON on stdout and nothing else.", "--json")]
Force = Annotated[bool, option("Overwrite an output that exists.", "--force")]
OutputPath = Annotated[Path | None, option("Where to write.", "--output", "-o", default="a unique name")]
DataName = Annotated[str | None, option(DATA_KINDS, default="what the model was made with", complete=data_names)]
TrainingData = Annotated[str | None, option(DATA_KINDS, default=DEFAULT_DATA, complete=data_names)]
ImageSize = Annotated[
    str | None, option("Resize your own images: 64, or 48x64 (height x width); 16 to 128.", default="as they are")
]
Provider = Annotated[str, option(f"Where an .onnx file runs: {', '.join(PROVIDERS)}.", complete=one_of(PROVIDERS))]
ProviderOrAuto = Annotated[
    str, option(f"{', '.join(PROVIDERS)}, or auto: cuda, else cpu.", complete=one_of((*PROVIDERS, "auto")))
]
PROVIDERS_ASKED = f"Providers, comma-separated: {', '.join(PROVIDERS)}, auto, all."
Providers = Annotated[str | None, option(PROVIDERS_ASKED, default="cpu", complete=some_of(providers))]
SearchedProviders = Annotated[
    str | None, option(PROVIDERS_ASKED, default="cpu; with --auto all", complete=some_of(providers))
]
Runtimes = Annotated[
    str | None,
    option(
        "Runtimes, comma-separated: ort, torch, all.",
        default="ort, and torch where the run is here",
        complete=some_of(engines),
    ),
]
At = Annotated[
    str | None,
    option("A server of the Open Inference Protocol, which oip-http, oip-json and oip-grpc ask.", metavar="URL"),
]
Batch = Annotated[str | None, option("Batch sizes, comma-separated.", default="1,32,256 as far as the time allows")]
THREADS = "Thread counts, comma-separated; 0 is the engine's own."
Threads = Annotated[str | None, option(THREADS, default="0")]
AllowFallback = Annotated[
    bool,
    option("Go on with the CPU where a provider is not active, and mark every row.", "--allow-fallback"),
]
ModelPath = Annotated[
    Path | None, typer.Argument(help="An .onnx file.", show_default="the latest one", autocompletion=models)
]
AllowExternalData = Annotated[
    bool, option("Trust the model: its weights may lie in files in its own folder.", "--allow-external-data")
]
BUDGET = "For a file without a card: seconds for its reference; what it leaves out is said."
BudgetSeconds = Annotated[float | None, option(BUDGET, default="30")]
InputsPath = Annotated[Path | None, option("For a file without a card: an .npz with an array for each input.")]
Shapes = Annotated[
    list[str] | None, option("For a file without a card: an input's whole shape, as name=2,3,224,224; may be repeated.")
]
Values = Annotated[
    list[str] | None, option("For a file without a card: an input's number or numbers, as name=16000; may be repeated.")
]
Request = TypeVar("Request")


def command_of(request: type[Request], carry_out: Callable[[Request], None]) -> Callable[..., None]:
    """Return the command whose options are the fields of a dataclass, and whose help is the dataclass' docstring."""

    def command(**options: Any) -> None:
        carry_out(request(**options))

    # Typer reads a command's options from its signature.
    command.__signature__ = inspect.signature(request, eval_str=True)  # type: ignore[attr-defined]  # a function's own
    command.__doc__ = request.__doc__
    return command


def options_for(function: Callable[..., object], request: object) -> dict[str, Any]:
    """Return what was given of a request's options that a function of the library takes, too, by their common names."""
    named = ((name, getattr(request, name, None)) for name in inspect.signature(function).parameters)
    return {name: value for name, value in named if value is not None}
