"""A page for each command, from the objects that its `--help` is made of."""

from __future__ import annotations

__all__ = ["PARTS", "make_pages"]

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from markdown_text import as_cell, table
from typer.main import get_command

from toolkit.cli.app import VERBS, app
from toolkit.cli.help_page import EXAMPLES


class _Sections:
    """Takes what a command's help writes of its options: titles, and pairs of a name and what it means."""

    def __init__(self) -> None:
        self.titles: dict[str, list[tuple[str, str]]] = {}

    @contextmanager
    def section(self, title: str) -> Iterator[None]:
        self.titles[title] = []
        yield

    def write_dl(self, rows: Sequence[tuple[str, str]], **_: Any) -> None:
        self.titles[next(reversed(self.titles))] += rows


def make_pages() -> dict[str, str]:
    """Return the page of each verb by its path."""
    root = get_command(app)
    context = typer.Context(root, info_name="toolkit")
    found = {verb: root.resolve_command(context, [verb])[1] for verb in VERBS}  # type: ignore[attr-defined]  # a group's
    return {f"reference/commands/{verb}.md": _page(command, verb) for verb, command in found.items()}


def _list_verbs() -> str:
    return table(
        ("command", "what it is for"),
        [(f"[`toolkit {verb}`]({verb}.md)", as_cell(line)) for verb, line in VERBS.items()],
    )


def _page(command: Any, verb: str) -> str:
    inner = getattr(command, "commands", None)
    if inner is None:
        return f"# toolkit {verb}\n\n{_describe(command, verb)}"
    parts = [f"## toolkit {verb} {name}\n\n{_describe(each, f'{verb} {name}')}" for name, each in inner.items()]
    return f"# toolkit {verb}\n\n{command.help}\n\n" + "\n".join(parts)


def _describe(command: Any, verb: str) -> str:
    context = typer.Context(command, info_name=f"toolkit {verb}")
    sections = _Sections()
    command.format_options(context, sections)
    usage = " ".join([f"toolkit {verb}", *command.collect_usage_pieces(context)])
    examples = "\n".join(EXAMPLES[verb])
    tables = [f"**{title}**\n\n{_options(title, rows)}" for title, rows in sections.titles.items()]
    head = f"{command.help}\n\n```console\n$ {usage}\n```\n"
    return "\n".join([head, *tables, f"**Examples**\n\n```sh\n{examples}\n```\n"])


def _options(title: str, rows: Sequence[tuple[str, str]]) -> str:
    head = ("argument" if title == "Arguments" else "option", "meaning")
    return table(head, [(f"`{name}`", as_cell(words)) for name, words in rows])


PARTS = {"commands": _list_verbs}
