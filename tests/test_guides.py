"""The guides for contributors: each file defines the names that a guide says it has, and the tutorial works."""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import pytest

from tests.snippets import ROOT

TUTORIAL = "docs/start/contributor.md"
GUIDES = {
    "CONTRIBUTING.md": ("## Add an algorithm", "## How we write"),
    "docs/architecture.md": ("## Where is what", "## Map of the code"),
    TUTORIAL: ("## 1. ", "## 7. "),
}
"""The pages that name files and their contents, each with the headings at which that part begins and ends."""
LAYERS = frozenset(path.stem for path in (ROOT / "hashdb").iterdir())
"""The folders and modules of the package."""
_BLOCK = re.compile(r"\n\n|\n(?=\d+\. |- |\| )")
"""Between two paragraphs, entries of a list, or rows of a table."""
_STEP = re.compile(r"(?:\d+\.|\|) `[\w/]+\.py`")
_NAMES = re.compile(r"`(\w+)`")
_PATH = re.compile(r"`([\w/]+\.py)`")
_PLACED = re.compile(r"((?:`\w+`(?:, | and | or | of | of the class )?)+) in (?:`([\w/]+\.py)`|the same file)")
"""Names, and the file in which they are according to the sentence."""
_CODE = re.compile(r"`(?!HASHDB_)(?=\w*[A-Z_])([A-Za-z_]\w+)`")
"""A word in backticks with a capital or an underscore, which can only be a name of the code."""


def _part(guide: str) -> str:
    begin, end = GUIDES[guide]
    text = (ROOT / guide).read_text("utf-8")
    return text[text.index(f"\n{begin}") : text.index(f"\n{end}")]


def _resolve(path: str) -> Path:
    """The file that a guide names, also without the folder `hashdb` or `tests` in front."""
    files = [file for file in (ROOT / path, ROOT / "hashdb" / path, ROOT / "tests" / path) if file.is_file()]
    assert files, f"{path} does not exist"
    return files[0]


@cache
def _defined(path: Path) -> frozenset[str]:
    return frozenset(_definitions(ast.parse(path.read_text("utf-8")).body))


def _definitions(body: Sequence[ast.stmt]) -> Iterator[str]:
    """The functions, classes and assigned names of a module and of its classes."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name
        if isinstance(node, ast.ClassDef | ast.If):
            yield from _definitions(node.body)
        if isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (name.id for target in targets for name in ast.walk(target) if isinstance(name, ast.Name))


def _missing(section: str) -> list[str]:
    """The names in a section that are not defined in the files of the section.

    If a step begins with a file, its names must be in a file of that step; otherwise in any file named so far.
    """
    missing, all_files = [], set[Path]()
    for block in _BLOCK.split(re.sub(r"^```.*?^```$", "", section, flags=re.MULTILINE | re.DOTALL)):
        own = {_resolve(path) for path in _PATH.findall(block)}
        all_files |= own
        placed = [
            (_NAMES.findall(names), {_resolve(path)} if path else all_files) for names, path in _PLACED.findall(block)
        ]
        for names, files in [*placed, (_CODE.findall(block), own if _STEP.match(block) else all_files)]:
            known = LAYERS.union(*map(_defined, files))
            missing += [f"`{name}` in: {block.strip()}" for name in names if files and name not in known]
    return missing


@pytest.mark.parametrize("guide", GUIDES)
def test_every_name_in_a_guide_is_defined_in_the_file_named_with_it(guide: str) -> None:
    missing = [line for section in re.split(r"\n(?=##)", _part(guide)) for line in _missing(section)]
    assert not missing, "\n\n".join(missing)


def test_a_name_that_does_not_exist_is_reported() -> None:
    for sentence in (
        "1. `hashdb/domain/signals.py`: add it to `NOTHING`.",
        "`record` and `nothing` in `domain/ledger/records.py` do it.",
        "`Signal` in `domain/signals.py`; `nothing` in the same file.",
        "`Nothing` calls `Signal` in `domain/signals.py`.",
        "1. `hashdb/domain/meanings.py`: `PERCEPTUAL` is in another file.\n2. `hashdb/domain/signals.py`: end.",
    ):
        assert len(_missing(sentence)) == 1
    assert _missing("`record` of the class `ExpectedRecords` in `domain/ledger/records.py`\nreads `HASHDB_X`.") == []
    with pytest.raises(AssertionError, match=r"^domain/nothing\.py does not exist"):
        _missing("`match` in `domain/nothing.py`")


_SNIPPET = re.compile(r"In `(hashdb/[\w/]+\.py)`,(?:(?!```).)*?^```text\n(.*?)\n```$", re.MULTILINE | re.DOTALL)
"""A line that the tutorial adds to a file."""
_NEIGHBOR = re.compile(r"\b[adw]hash\b", re.IGNORECASE)
_ADDED = re.compile(r"\bdhash256\b", re.IGNORECASE)


def _form(line: str) -> str:
    return re.sub(r'"[^"]*"|\w+(?:\.\w+)*', "_", line)


def test_the_tutorial_adds_an_algorithm(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "hashdb", tmp_path / "hashdb", ignore=shutil.ignore_patterns("photos", "__pycache__"))
    page = (ROOT / TUTORIAL).read_text("utf-8")
    snippets = _SNIPPET.findall(page)
    assert len(snippets) == page.count("```text\n") == 4
    for path, line in snippets:
        lines = (tmp_path / path).read_text("utf-8").splitlines()
        # The line exists already if a developer followed the tutorial in this repository.
        lines = [other for other in lines if _form(other) != _form(line) or not _ADDED.search(other)]
        similar = [n for n, other in enumerate(lines) if _form(other) == _form(line) and _NEIGHBOR.search(other)]
        assert similar, f"{path} has no line like {line}"
        lines.insert(similar[-1] + 1, line)
        (tmp_path / path).write_text("\n".join(lines), "utf-8")
    ((command, printed),) = re.findall(r"^```console\n\$ (.*)\n((?:.+\n)+)```$", page, re.MULTILINE)
    result = subprocess.run(
        command.replace(" hashdb ", f" {shlex.quote(sys.executable)} -m hashdb ", 1),
        shell=True,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (result.stderr, result.stdout) == ("", printed)
    assert printed.split()[1] in snippets[-1][1]
