"""Options that mean the same in every command."""

from __future__ import annotations

__all__ = [
    "DATA_KINDS",
    "THREADS",
    "AllowExternalData",
    "AllowFallback",
    "At",
    "Batch",
    "DataName",
    "Force",
    "ImageSize",
    "Json",
    "ModelPath",
    "OutputPath",
    "Provider",
    "ProviderOrAuto",
    "Providers",
    "Runtimes",
    "SearchedProviders",
    "Threads",
    "TrainingData",
    "command_of",
    "offer_external_data",
    "options_for",
]

import functools
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, ParamSpec, TypeVar

import typer

from toolkit.api.words import DEFAULT_DATA
from toolkit.cli.completion import data_names, engines, models, one_of, providers, some_of
from toolkit.errors import ExternalDataError
from toolkit.runtimes.providers import PROVIDERS

DATA_KINDS = (
    "mnist, fashion-mnist, kmnist, mnist-mini, "
    "or a path: class folders of images (plain, ZIP, tar), IDX files, NPZ, a CSV of pixels, Parquet with images."
)
Json = Annotated[bool, typer.Option("--json", help="Print the report as JSON on stdout and nothing else.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite an output that exists.")]
OutputPath = Annotated[
    Path | None, typer.Option("--output", "-o", help="Where to write.", show_default="a unique name")
]
DataName = Annotated[
    str | None,
    typer.Option("--data", help=DATA_KINDS, show_default="what the model was made with", autocompletion=data_names),
]
TrainingData = Annotated[
    str | None, typer.Option("--data", help=DATA_KINDS, show_default=DEFAULT_DATA, autocompletion=data_names)
]
ImageSize = Annotated[
    str | None,
    typer.Option(
        "--size",
        help="Resize your own images: 64, or 48x64 (height x width); 16 to 128.",
        show_default="as they are",
    ),
]
Provider = Annotated[
    str,
    typer.Option(
        "--provider", help=f"Where an .onnx file runs: {', '.join(PROVIDERS)}.", autocompletion=one_of(PROVIDERS)
    ),
]
ProviderOrAuto = Annotated[
    str,
    typer.Option(
        "--provider",
        help=f"{', '.join(PROVIDERS)}, or auto: cuda, else cpu.",
        autocompletion=one_of((*PROVIDERS, "auto")),
    ),
]
PROVIDERS_ASKED: dict[str, Any] = {
    "help": f"Providers, comma-separated: {', '.join(PROVIDERS)}, auto, all.",
    "autocompletion": some_of(providers),
}
Providers = Annotated[str | None, typer.Option("--provider", show_default="cpu", **PROVIDERS_ASKED)]
SearchedProviders = Annotated[
    str | None, typer.Option("--provider", show_default="cpu; with --auto all", **PROVIDERS_ASKED)
]
Runtimes = Annotated[
    str | None,
    typer.Option(
        "--runtime",
        help="Runtimes, comma-separated: ort, torch, all.",
        show_default="ort, and torch where the run is here",
        autocompletion=some_of(engines),
    ),
]
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="URL",
        help="A server of the Open Inference Protocol, which runtime oip-http asks, or oip-json.",
    ),
]
Batch = Annotated[
    str | None,
    typer.Option("--batch", help="Batch sizes, comma-separated.", show_default="1,32,256 as far as the time allows"),
]
THREADS = "Thread counts, comma-separated; 0 is the engine's own."
Threads = Annotated[str | None, typer.Option("--threads", help=THREADS, show_default="0")]
AllowFallback = Annotated[
    bool,
    typer.Option("--allow-fallback", help="Go on with the CPU where a provider is not active, and mark every row."),
]
ModelPath = Annotated[
    Path | None, typer.Argument(help="An .onnx file.", show_default="the latest one", autocompletion=models)
]
AllowExternalData = Annotated[
    bool,
    typer.Option("--allow-external-data", help="Trust the model: its weights may lie in files in its own folder."),
]
Request = TypeVar("Request")
Words = ParamSpec("Words")


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


def offer_external_data(command: Callable[Words, None]) -> Callable[Words, None]:
    """Let a command that has the option name it where a file needs it."""

    @functools.wraps(command)
    def offering(*args: Words.args, **kwargs: Words.kwargs) -> None:
        try:
            command(*args, **kwargs)
        except ExternalDataError as error:
            raise ExternalDataError(f"{error}; or read them from its own folder: --allow-external-data") from error

    return offering
