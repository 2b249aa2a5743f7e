"""What `--help` says of a command beside its own words: examples, groups of options, names of values."""

from __future__ import annotations

__all__ = ["EXAMPLES", "ROOT_EPILOG", "VARIABLES", "GroupedCommand", "finish_help"]

from typing import Any

from typer.core import TyperCommand

# Environment variables of its own that are read, with what each changes; `docs/reference/variables.md` tells of others.
VARIABLES = {
    "TOOLKIT_ARTIFACTS": "Where results go; ./artifacts by default.",
    "TOOLKIT_DATA": "Where fetched data sets lie; the user's cache by default.",
    "TOOLKIT_CACHE": "Where tried files are noted; the user's cache by default.",
    "TOOLKIT_RUNTIMES": "Where added engines lie; the user's own data by default.",
    "TOOLKIT_TIME_LIMIT": "Most seconds that one request to an engine may take; none by default.",
    "TOOLKIT_TOKEN_FILE": "File of the bearer token that --at sends to a server; none by default.",
    "TOOLKIT_AUTHOR": "The author in an exported card, as --author.",
    "TOOLKIT_LICENCE": "The licence in an exported card, as --licence.",
}
# The first sign says: not to be folded. Of the variables only those that say where things lie: a screen has 40 lines.
ROOT_EPILOG = """\b
--debug after a command shows a failure's traceback. Places, by variable:
""" + "\n".join(f"  {name:17} {words}" for name, words in VARIABLES.items() if words.startswith("Where"))

EXAMPLES = {
    "quickstart": ("toolkit quickstart", "toolkit quickstart --data mnist-mini"),
    "train": ("toolkit train --recipe best --all-data", "toolkit train --data photos.zip --size 64"),
    "recipes": ("toolkit recipes", "toolkit recipes fast"),
    "tune": ("toolkit tune --space dropout=0.2..0.6 --trials 20", "toolkit tune --space learning_rate=0.001,0.003"),
    "learning-curve": ("toolkit learning-curve --seeds 5", "toolkit learning-curve --data scans/ --sizes 100,400"),
    "evaluate": ("toolkit evaluate --data scans/", "toolkit evaluate new.onnx --against old.onnx"),
    "runs": ("toolkit runs", "toolkit runs --delete first-try"),
    "export": ("toolkit export --precision fp32,int8", "toolkit export digits.onnx --kit python,web"),
    "inspect": ("toolkit inspect", "toolkit inspect resnet.onnx --json"),
    "selftest": ("toolkit selftest", "toolkit selftest digits.onnx --provider cuda"),
    "parity": ("toolkit parity --runtime all", "toolkit parity bert.onnx --shape ids=2,128"),
    "demo": ("toolkit demo", "toolkit demo digits.onnx --port 8000"),
    "serve": ("toolkit serve digits.onnx --port 8000", "toolkit serve digits=v1.onnx digits=v2.onnx"),
    "predict": ("toolkit predict phone.jpg scans/ -o rows.csv", "toolkit predict test.zip --labels-from-folder"),
    "bench": ("toolkit bench --provider cpu,cuda --batch 1,64", "toolkit bench --auto --goal throughput"),
    "compare": ("toolkit compare old.json new.json", 'toolkit compare old.json new.json --fail-if "p99>+5%"'),
    "report": ("toolkit report artifacts/reports/*.json", "toolkit report bench.json --output page.md"),
    "prove": ("toolkit prove --provider cuda", "toolkit prove --provider cpu --data mnist-mini --quick"),
    "doctor": ("toolkit doctor", "toolkit doctor --require cuda"),
    "data fetch": ("toolkit data fetch mnist", "toolkit data fetch kmnist --json"),
    "data info": ("toolkit data info photos.zip", "toolkit data info mnist-mini --json"),
    "data show": ("toolkit data show mnist-mini", "toolkit data show photos/ --class cat"),
    "runtimes list": ("toolkit runtimes list", "toolkit runtimes list --json"),
    "runtimes install": ("toolkit runtimes install ort-web", "toolkit runtimes install mnn"),
}
# Of a command with many options, what stands under a heading of its own; the rest is the command's own.
MANY_OPTIONS = 12
GROUPS = {
    "Pictures and inputs": (
        *("--data", "--size", "--polarity", "--fit", "--labels-from-filename", "--labels-from-folder"),
        *("--sample", "--max-images", "--run", "--inputs", "--shape", "--value"),
    ),
    "Engine and device": (
        *("--runtime", "--provider", "--precision", "--threads", "--optimisation", "--batch", "--device", "--driver"),
        *("--boundary", "--io-binding", "--cuda-graph", "--device-option", "--tf32", "--require-all-nodes"),
        *("--allow-fallback", "--allow-external-data", "--allow-bf16", "--allow-int8", "--executor", "--processes"),
    ),
    "Files that change": ("--watch", "--repository"),
    "Batches and queue": ("--max-batch", "--max-wait-ms", "--max-queue", "--timeout-ms", "--max-connections"),
    "Who may come in": (
        "--host",
        "--port",
        "--grpc-port",
        "--public",
        "--page",
        "--token-file",
        "--tls-cert",
        "--tls-key",
        "--tls-client-ca",
    ),
    "Output": (
        *("--output", "--format", "--probabilities", "--gallery", "--picture", "--csv", "--samples", "--record"),
        *("--tensorboard", "--force", "--json", "--help"),
    ),
}
# What a value is called by Typer's name of its type; of another type, as its option.
NUMBERS = {"int": "N", "int range": "N", "integer": "N", "integer range": "N", "float": "X", "float range": "X"}


class GroupedCommand(TyperCommand):
    """A command whose help has its many options in groups."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options."""
        sections: dict[str, list[tuple[str, str]]] = {title: [] for title in ("Arguments", "Options", *GROUPS)}
        has_many = len(self.params) > MANY_OPTIONS
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                sections[_choose_group(parameter) if has_many else _kind(parameter)].append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def finish_help(command: Any, verb: str) -> None:
    """Give a command its examples, its defaults, and the values of its options names in the place of Python's types."""
    lines = "".join(f"\n  {example}" for example in EXAMPLES[verb])
    command.epilog = f"\b\nExamples:{lines}"  # the first sign says: not to be folded
    for option in command.params:
        if isinstance(option.show_default, str):  # what the code takes where nothing is given; Typer would bracket it
            option.help, option.show_default = f"{option.help}  [default: {option.show_default}]", False
        if option.param_type_name == "option" and not option.is_flag and option.metavar is None:
            name = option.opts[0].strip("-")
            own = "VALUE" if "-" in name else name.upper()
            option.metavar = NUMBERS.get(option.type.name) or ("PATH" if option.type.name == "path" else own)


def _kind(parameter: Any) -> str:
    return "Arguments" if parameter.param_type_name == "argument" else "Options"


def _choose_group(parameter: Any) -> str:
    return next((title for title, names in GROUPS.items() if set(names) & set(parameter.opts)), _kind(parameter))
