"""A home, a service that is really served from it, and the commands as processes of their own."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, cast

import click
import pytest

import hashdb
from hashdb.cli import hashdb as command_line
from hashdb.cli import main
from hashdb.domain.accounts.members import COMMAND_LINE, KeyDraft, MemberDraft, MemberKind, Scope
from hashdb.service import open_hashdb
from hashdb.service.accounts import members
from hashdb.settings import Settings
from tests.serving import serving
from tests.warm import HASHDB, program

PHOTOS = sorted((Path(hashdb.__file__).parent / "photos").glob("*.jpg"))


@dataclass
class Commands:
    """Runs `hashdb` with settings of its own."""

    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run one in this process, as the console script does."""
        out, err, words = StringIO(), StringIO(), ["hashdb", *map(str, arguments)]
        mask = os.umask(0o022)
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", words)
            for name, value in (self.environment | settings).items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as ended:
                main()
        # Commands make files that only their owner reads; the other tests do not.
        os.umask(mask)
        return subprocess.CompletedProcess(words, cast(int, ended.value.code), out.getvalue(), err.getvalue())

    def process(self, *arguments: str | Path, timeout: float = 60, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run one in a process of its own."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")}
        given = self.environment | settings
        # Python reads its own variables as it starts.
        cold = any(name.startswith("PYTHON") for name in given)
        return subprocess.run(
            [*([sys.executable, "-m", "hashdb"] if cold else program(HASHDB)), *map(str, arguments)],
            env=kept | given,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def json(self, *arguments: str | Path, status: int = 0, **settings: str) -> Any:
        """The one JSON document that a command prints."""
        done = self(*arguments, "--json", **settings)
        assert done.returncode == status, done.stderr
        return json.loads(done.stdout)


def parse(line: str) -> click.Context:
    """The context of a command as a shell would start it, up to a redirection. Raises click.UsageError."""
    program, *words = shlex.split(line.partition(" > ")[0])
    assert program == "hashdb"
    command: click.Command = command_line
    context = click.Context(command)
    while isinstance(command, click.Group):
        name, found, words = command.resolve_command(context, words)
        assert name is not None and found is not None
        command = found
    return command.make_context(name, words, parent=context)


@pytest.fixture
def run(tmp_path: Path) -> Commands:
    """Commands on an empty home."""
    return Commands({"HASHDB_HOME": str(tmp_path / "home")})


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the service of this session."""
    return tmp_path_factory.mktemp("served") / "home"


@pytest.fixture(scope="session")
def served(home: Path) -> Iterator[str]:
    """The address of a service with two workers."""
    with serving(home) as url:
        yield url


@pytest.fixture
def member(served: str, home: Path, request: pytest.FixtureRequest) -> Commands:
    """Commands of a member of the served service, new for each test, with a key of every scope."""
    settings = Settings(home=home)
    db = open_hashdb(settings.database, settings.rules())
    added = members.add(db, COMMAND_LINE, MemberDraft(request.node.name[:90], MemberKind.PLATFORM))
    issued = members.issue_key(db, COMMAND_LINE, added.id, KeyDraft(frozenset(Scope)))
    db.close()
    return Commands({"HASHDB_HOME": str(home), "HASHDB_URL": served, "HASHDB_KEY": issued.secret})
