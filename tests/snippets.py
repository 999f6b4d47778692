"""Runs the snippets of a Markdown page that are marked `run`, in order, in one shell."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.warm import HASHDB, THREATEXCHANGE, program

ROOT = Path(__file__).resolve().parent.parent
EXTENSION = ROOT / "integrations" / "threatexchange"
_FENCE = re.compile(r"^```(\S+)( run| save \S+)?\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_MARK = "\x1e"


@dataclass(frozen=True)
class Step:
    """A shell command, and the output that the page shows for it (None: the page shows none)."""

    line: int
    command: str
    output: str | None


def steps(page: str) -> Iterator[Step]:
    """The steps of a page: each command of a `console run` block, and each `bash run` or `python run` block as a whole.

    A `text` block directly after a `python run` or `bash run` block shows its output. A `python save NAME` block is
    saved to the file NAME.
    """
    blocks = list(_FENCE.finditer(page))
    for block, after in zip(blocks, [*blocks[1:], None], strict=True):
        language, run, text = block.groups()
        line = page.count("\n", 0, block.start()) + 1
        if not run:
            continue
        if language == "console":
            yield from _commands(text, line)
            continue
        if save := run.partition(" save ")[2]:
            yield Step(line, f"cat > {save} <<'END_OF_SNIPPET'\n{text}END_OF_SNIPPET\n", None)
            continue
        follows = after is not None and after[1] == "text" and not page[block.end() : after.start()].strip()
        command = text if language == "bash" else f"python - <<'END_OF_SNIPPET'\n{text}END_OF_SNIPPET\n"
        yield Step(line, command, after[3] if after is not None and follows else None)


def _commands(text: str, line: int) -> Iterator[Step]:
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines(keepends=True)
        count = 1
        while lines[count - 1].endswith("\\\n"):
            count += 1
        yield Step(line, "".join(lines[:count]), "".join(lines[count:]))


def run(page: Path, folder: Path, settings: Mapping[str, str], replace: Mapping[str, str]) -> list[str]:
    """Run the snippets of a page in a folder, and return a message for each whose output differs from the page."""
    todo = list(steps(page.read_text("utf-8")))
    assert todo, f"{page.name} marks no snippet"
    script = "set -u -o pipefail\n" + "".join(f"{step.command}\nprintf '{_MARK}%s\\n' $?\n" for step in todo)
    for old, new in replace.items():
        script = script.replace(old, new)
    result = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**_environment(folder), **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    printed = re.findall(rf"(.*?){_MARK}(\d+)\n", result.stdout, re.DOTALL)
    assert len(printed) == len(todo), result.stdout
    return [
        f"{page.name}:{step.line}: {step.command.strip()}\nended with {status} and printed\n{output}"
        for step, (output, status) in zip(todo, printed, strict=True)
        if status != "0" or (step.output is not None and not fits(output, step.output))
    ]


def fits(output: str, shown: str) -> bool:
    """Whether an output is the one that a page shows, in which `…` stands for any text within a line."""
    return bool(re.fullmatch(".*".join(map(re.escape, shown.rstrip("\n").split("…"))), output.rstrip("\n")))


def _environment(folder: Path) -> dict[str, str]:
    """The environment of a user who installed hashdb, and whose folder has the photographs and examples of a clone."""
    programs = folder / "bin"
    programs.mkdir()
    started = {"python": [sys.executable], "hashdb": program(HASHDB), "threatexchange": program(THREATEXCHANGE)}
    for name, words in started.items():
        (programs / name).write_text(f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        (programs / name).chmod(0o755)
    (folder / "hashdb").mkdir()
    for name in ("hashdb/photos", "hashdb/test.png", "examples"):
        (folder / name).symlink_to(ROOT / name)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")}
    # PYTHONSAFEPATH: the folder has a subfolder `hashdb`, for the photographs, which Python must not import.
    paths = {
        "PATH": f"{programs}{os.pathsep}{kept['PATH']}",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{EXTENSION}",
        "PYTHONSAFEPATH": "1",
    }
    return kept | paths
