"""The package without extras: a member's commands need nothing else, and any other names the extra that is missing."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from configparser import ConfigParser
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from typing import NamedTuple

import hashdb
from tests.cli.conftest import PHOTOS, Commands
from tests.snippets import ROOT

TEST_PICTURE = Path(hashdb.__file__).with_name("test.png")
_FILM = b"\0\0\0\x18ftypisom\0\0\2\0isomavc1" + bytes(64)
_MISSING = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""
"""Python runs it at the start of each process, also of those that hash videos."""
_PROGRAM = """
import json, sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from hashdb.cli import main

for words in json.loads(sys.stdin.read()):
    sys.argv = ["hashdb", *words]
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        try:
            main()
        except SystemExit as ended:
            status = ended.code
    print(json.dumps([status, out.getvalue(), err.getvalue()]))
"""


class Done(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str


def _of_the_base() -> set[str]:
    """The distributions that are installed without an extra."""
    read = ConfigParser()
    read.read(ROOT / "setup.cfg")
    left, found = read["options"]["install_requires"].split("\n"), set[str]()
    while left:
        requirement = left.pop()
        name = re.match(r"[\w.-]*", requirement)[0].replace("_", "-").lower()  # type: ignore[index]
        if name and "extra ==" not in requirement and name not in found:
            try:
                left += requires(name) or []
            except PackageNotFoundError:
                continue
            found.add(name)
    return found


def _in_the_base(commands: Sequence[Sequence[str | Path]], member: Commands, folder: Path) -> list[Done]:
    """Run commands, one after the other, in a process that finds no package of an extra."""
    base = _of_the_base()
    missing = {
        module
        for module, names in packages_distributions().items()
        if base.isdisjoint(name.replace("_", "-").lower() for name in names) and module != "hashdb"
    }
    (folder / "sitecustomize.py").write_text(_MISSING.format(missing=missing))
    path = os.pathsep.join((str(folder), str(ROOT)))
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        input=json.dumps([list(map(str, words)) for words in commands]),
        env=os.environ | member.environment | {"HASHDB_HOME": str(folder / "own"), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [Done(*json.loads(line)) for line in done.stdout.splitlines()]


def test_the_base_has_at_most_fifteen_packages() -> None:
    assert len(_of_the_base()) + 1 <= 15


def test_the_commands_of_a_member_need_no_extra(member: Commands, tmp_path: Path) -> None:
    photo = PHOTOS[0]
    (tmp_path / "list.csv").write_text("signals\npdq:" + "0123456789abcdef" * 4 + "\n")
    commands = {
        ("--help",): "serve",
        ("hash", photo): "quality 100",
        ("contribute", photo, "--label", "glorification", "--removed-at", "now"): "contribution",
        ("match", "--transforms", photo): "review",
        ("import", tmp_path / "list.csv", "--label", "glorification"): "",
        ("sync",): "",
        ("match", "--local", photo, TEST_PICTURE): "review",
        ("local", "status"): "contributions",
        ("export",): "0123456789abcdef",
        ("remember", photo): "remembered",
        ("case", "list"): "contribution",
        ("webhook", "list"): "",
        ("rehash", photo): "",
        ("selftest",): "ok",
    }
    done = _in_the_base(list(commands), member, tmp_path)

    assert len(done) == len(commands)
    for (words, shown), (status, out, err) in zip(commands.items(), done, strict=True):
        assert status == 0, (words, out, err)
        assert shown in out, (words, out)


def test_what_needs_an_extra_says_which_one(member: Commands, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(_FILM)
    commands = {
        ("serve",): "this command needs the extra [server]",
        ("demo",): "this command needs the extra [server]",
        ("local", "serve"): "this command needs the extra [sidecar]",
        ("witness", "serve", "--logs", "logs.txt"): "this command needs the extra [sidecar]",
        ("witness", "key", "w.example"): "a key of a witness needs the extra [audit]",
        ("evaluate", "--help"): "this command needs the extra [server]",
        ("member", "list"): "this command needs the extra [server]",
        ("views", "list"): "this command needs the extra [server]",
        ("audit", "verify"): "this command needs the extra [server]",
        (
            "audit",
            "check",
            "--checkpoint",
            tmp_path / "kept.txt",
            "--save",
        ): "a check of a signature needs the extra [audit]",
        ("hash", "--algorithm", "whash", TEST_PICTURE): "whash needs the extra [hashes]",
        ("hash", film): "a video needs the extra [video]",
    }
    done = _in_the_base(list(commands), member, tmp_path)

    for (words, sentence), (status, out, err) in zip(commands.items(), done, strict=True):
        extra = sentence[sentence.index("[") :]
        told = f"{sentence}, which is not installed: pip install '.{extra}' in a clone of hashdb"
        assert status in (1, 2) and out == "", (words, out)
        assert err.strip().removeprefix("hashdb: ").endswith(told), (words, err)
