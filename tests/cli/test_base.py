"""The package without extras: a member's commands work, and every other command names the missing extra."""

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
FILM_HEADER = b"\0\0\0\x18ftypisom\0\0\2\0isomavc1" + bytes(64)
HIDE_EXTRAS = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {missing}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Missing())
"""
"""Python runs this at the start of each process, including those that hash videos."""
RUN_COMMANDS = """
import json, sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from hashdb.cli import main

for words in json.loads(sys.stdin.read()):
    sys.argv = ["hashdb", *words]
    with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
        try:
            main()
        except SystemExit as exit:
            status = exit.code
    print(json.dumps([status, out.getvalue(), err.getvalue()]))
"""


class CommandResult(NamedTuple):
    """The exit status and the output of a command."""

    status: int
    out: str
    err: str


def _base_distributions() -> set[str]:
    """The distributions that are installed if no extra is chosen."""
    configuration = ConfigParser()
    configuration.read(ROOT / "setup.cfg")
    remaining, distributions = configuration["options"]["install_requires"].split("\n"), set[str]()
    while remaining:
        requirement = remaining.pop()
        name = re.match(r"[\w.-]*", requirement)[0].replace("_", "-").lower()  # type: ignore[index]
        if name and "extra ==" not in requirement and name not in distributions:
            try:
                remaining += requires(name) or []
            except PackageNotFoundError:
                continue
            distributions.add(name)
    return distributions


def _run_without_extras(
    commands: Sequence[Sequence[str | Path]], member: Commands, folder: Path
) -> list[CommandResult]:
    """Run commands one after the other in a process that cannot import the packages of extras."""
    base = _base_distributions()
    missing = {
        module
        for module, names in packages_distributions().items()
        if base.isdisjoint(name.replace("_", "-").lower() for name in names) and module != "hashdb"
    }
    (folder / "sitecustomize.py").write_text(HIDE_EXTRAS.format(missing=missing))
    path = os.pathsep.join((str(folder), str(ROOT)))
    process = subprocess.run(
        [sys.executable, "-c", RUN_COMMANDS],
        input=json.dumps([list(map(str, words)) for words in commands]),
        env=os.environ | member.environment | {"HASHDB_HOME": str(folder / "own"), "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [CommandResult(*json.loads(line)) for line in process.stdout.splitlines()]


def test_the_base_has_at_most_fifteen_packages() -> None:
    assert len(_base_distributions()) + 1 <= 15


def test_the_commands_of_a_member_work_without_extras(member: Commands, tmp_path: Path) -> None:
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
    results = _run_without_extras(list(commands), member, tmp_path)

    assert len(results) == len(commands)
    for (words, expected), (status, out, err) in zip(commands.items(), results, strict=True):
        assert status == 0, (words, out, err)
        assert expected in out, (words, out)


def test_a_command_that_needs_an_extra_names_it(member: Commands, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    film.write_bytes(FILM_HEADER)
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
    results = _run_without_extras(list(commands), member, tmp_path)

    for (words, sentence), (status, out, err) in zip(commands.items(), results, strict=True):
        extra = sentence[sentence.index("[") :]
        message = f"{sentence}, which is not installed: pip install '.{extra}' in a clone of hashdb"
        assert status in (1, 2) and out == "", (words, out)
        assert err.strip().removeprefix("hashdb: ").endswith(message), (words, err)
