"""The snippets of a Markdown page that are marked `run`, run in order in one shell."""

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
    """A piece of shell, and what the page says that it prints (None: nothing is said)."""

    line: int
    command: str
    output: str | None


def steps(page: str) -> Iterator[Step]:
    """What is to be run: each command of a `console run`, and each `bash run` or `python run` as a whole.

    What a `text` block directly after a `python run` or `bash run` holds is what that prints. A `python save NAME` is
    saved under that name.
    """
    found = list(_FENCE.finditer(page))
    for block, after in zip(found, [*found[1:], None], strict=True):
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
    """Run the snippets of a page in a folder, and tell of each that does not print what the page says."""
    todo = list(steps(page.read_text("utf-8")))
    assert todo, f"{page.name} marks no snippet"
    script = "set -u -o pipefail\n" + "".join(f"{one.command}\nprintf '{_MARK}%s\\n' $?\n" for one in todo)
    for here, there in replace.items():
        script = script.replace(here, there)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**_environment(folder), **settings},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    printed = re.findall(rf"(.*?){_MARK}(\d+)\n", done.stdout, re.DOTALL)
    assert len(printed) == len(todo), done.stdout
    return [
        f"{page.name}:{one.line}: {one.command.strip()}\nended with {status} and printed\n{output}"
        for one, (output, status) in zip(todo, printed, strict=True)
        if status != "0" or (one.output is not None and not fits(output, one.output))
    ]


def fits(output: str, said: str) -> bool:
    """Whether an output is what a page says, where `…` stands for anything within a line."""
    return bool(re.fullmatch(".*".join(map(re.escape, said.rstrip("\n").split("…"))), output.rstrip("\n")))


def _environment(folder: Path) -> dict[str, str]:
    """The environment of somebody who has installed hashdb in a folder with a clone's photographs and examples."""
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
    # -P: the folder has the photographs below the name of the package.
    paths = {
        "PATH": f"{programs}{os.pathsep}{kept['PATH']}",
        "PYTHONPATH": f"{ROOT}{os.pathsep}{EXTENSION}",
        "PYTHONSAFEPATH": "1",
    }
    return kept | paths
