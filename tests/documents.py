"""Documents in Markdown as their reader meets them: blocks of code with marks that he does not see, and links.

A mark is an HTML comment above a block: `parse only: WHY` (not run), `file: NAME` (written, not run), `exit: CODE` (of its
last command), `output` (of the block before). `setup` with shell lines, and `given: NAMES`, stand where they are.
"""

from __future__ import annotations

__all__ = ["Block", "blocks_of", "commands_in", "given_by", "links_of", "problem_with", "slugs_of", "spans_of"]

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import typer
from markdown_it import MarkdownIt
from typer.main import get_command

from toolkit.cli.app import app
from toolkit.cli.boundary import explain_usage

MARK = re.compile(r"<!--\s*(?P<name>parse only|file|exit|given|setup|output)\b:?\s*(?P<words>.*?)\s*-->", re.DOTALL)
LINKS = {"image", "link_open"}
OPERATORS = set("|&;<>()")
# What may stand before a command on a line of a shell's or a CI's.
BEFORE = re.compile(r"^\s*(?:\$ |- run: |run: |RUN |- )?")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A block of code.

    Attributes:
        language: as written; empty for none, and for indented blocks.
        text: its lines.
        line: where it begins.
        marks: by name their words.
    """

    language: str
    text: str
    line: int
    marks: dict[str, str] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """`python`, `shell`, `console` (prompts and output) or `other`."""
        if self.language in {"python", "py"}:
            return "python"
        if self.language in {"sh", "bash", "shell"}:
            return "shell"
        is_plain = self.language in {"", "text", "console"}
        return "console" if is_plain and re.search(r"^\$ ", self.text, re.MULTILINE) else "other"

    @property
    def script(self) -> str:
        """What a shell is given."""
        return self.text if self.kind == "shell" else "\n".join(line for line, is_typed in self._lines() if is_typed)

    @property
    def output(self) -> list[str]:
        """What stands between the commands of a console."""
        return [line for line, is_typed in self._lines() if not is_typed and line.strip()]

    def _lines(self) -> Iterator[tuple[str, bool]]:
        goes_on = False
        for line in self.text.splitlines():
            is_typed = goes_on or line.startswith("$ ")
            yield line.removeprefix("$ "), is_typed
            goes_on = is_typed and line.endswith("\\")


def blocks_of(path: Path) -> list[Block]:
    """Return the blocks of a document in order, what `setup` holds among them."""
    blocks: list[Block] = []
    marks: dict[str, str] = {}
    for token in MarkdownIt().parse(path.read_text()):
        line = token.map[0] + 1 if token.map else 0
        if token.type == "html_block":
            for mark in MARK.finditer(token.content):
                if mark["name"] == "setup":
                    blocks.append(Block(language="sh", text=mark["words"], line=line))
                else:
                    marks[mark["name"]] = mark["words"]
        elif token.type in {"fence", "code_block"}:
            language = (token.info.split() or [""])[0]
            blocks.append(Block(language=language, text=token.content, line=line, marks=marks))
            marks = {}
        elif token.type == "heading_open":
            marks = {}
    return blocks


def given_by(path: Path) -> list[str]:
    """Return the names of what a document's reader has beforehand."""
    return [
        name for mark in MARK.finditer(path.read_text()) if mark["name"] == "given" for name in mark["words"].split()
    ]


def spans_of(path: Path) -> list[str]:
    """Return what stands between backticks in a document's sentences and tables."""
    tokens = MarkdownIt().enable("table").parse(path.read_text())
    return [part.content for token in tokens for part in token.children or () if part.type == "code_inline"]


def commands_in(text: str) -> Iterator[list[str]]:
    """Yield the words of each call of `toolkit` in a text of shell lines."""
    for line in text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(BEFORE.sub("", line), posix=True, punctuation_chars=True)
        lexer.wordchars += "@{}[]:,!%^$+"
        try:
            words = [*lexer]
        except ValueError:  # prose, with an apostrophe
            continue
        ends = [number for number, word in enumerate(words) if set(word) <= OPERATORS]
        for start, end in zip([0, *(number + 1 for number in ends)], [*ends, len(words)], strict=True):
            yield from _called(words[start:end])


def _called(words: list[str]) -> Iterator[list[str]]:
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
        words = words[1:]
    if words[:1] == ["toolkit"]:
        yield words[1:]
    for place in range(len(words) - 1):
        if words[place : place + 2] == ["-m", "toolkit"]:
            yield words[place + 2 :]


def problem_with(words: list[str]) -> str:
    """Return why the command line would not take these words; empty where it would."""
    words = [word for word in words if word != "--debug"]
    if not words or words[0] in {"--help", "--version"}:
        return ""
    command, path = get_command(app), "toolkit"
    try:
        while hasattr(command, "commands") and words and words[0] != "--help":
            name, command, words = command.resolve_command(typer.Context(command, info_name=path), words)
            path = f"{path} {name}"
        command.make_context(path, [*words])
    except typer.Exit:
        return ""
    except Exception as error:
        told = explain_usage(error)
        if told is None:
            raise
        return str(told)
    return ""


def links_of(path: Path) -> list[str]:
    """Return where a document's links and pictures lead."""
    parts = [part for token in MarkdownIt().enable("table").parse(path.read_text()) for part in token.children or ()]
    written = [str(part.attrs["src" if part.type == "image" else "href"]) for part in parts if part.type in LINKS]
    return written + re.findall(r'<(?:a|img|source)\b[^>]*?(?:href|src|srcset)="([^"]+)"', path.read_text())


def slugs_of(path: Path) -> set[str]:
    """Return the names of a document's headings, as links call them."""
    tokens = MarkdownIt().parse(path.read_text())
    titles = [after.content for token, after in pairwise(tokens) if token.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
