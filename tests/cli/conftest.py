"""A home, a real service that uses it, and the commands of hashdb, in this process or in their own."""

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
    """Runs `hashdb` with these settings."""

    environment: dict[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command in this process, as the console script does."""
        out, err, words = StringIO(), StringIO(), ["hashdb", *map(str, arguments)]
        mask = os.umask(0o022)
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.setattr(sys, "argv", words)
            for name, value in (self.environment | settings).items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as exit_info:
                main()
        # A command sets the umask so that only the owner can read its files. Other tests need the usual umask.
        os.umask(mask)
        return subprocess.CompletedProcess(words, cast(int, exit_info.value.code), out.getvalue(), err.getvalue())

    def process(self, *arguments: str | Path, timeout: float = 60, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a process of its own."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")}
        settings_of_run = self.environment | settings
        # Python reads its own variables when it starts, so a warm process would ignore them.
        needs_new_interpreter = any(name.startswith("PYTHON") for name in settings_of_run)
        return subprocess.run(
            [*([sys.executable, "-m", "hashdb"] if needs_new_interpreter else program(HASHDB)), *map(str, arguments)],
            env=inherited | settings_of_run,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def json(self, *arguments: str | Path, status: int = 0, **settings: str) -> Any:
        """Run a command with --json and return the document that it prints."""
        result = self(*arguments, "--json", **settings)
        assert result.returncode == status, result.stderr
        return json.loads(result.stdout)


def parse(line: str) -> click.Context:
    """Parse a command line, up to a redirection, as a shell would. Raises click.UsageError."""
    program, *words = shlex.split(line.partition(" > ")[0])
    assert program == "hashdb"
    command: click.Command = command_line
    context = click.Context(command)
    while isinstance(command, click.Group):
        name, subcommand, words = command.resolve_command(context, words)
        assert name is not None and subcommand is not None
        command = subcommand
    return command.make_context(name, words, parent=context)


@pytest.fixture
def run(tmp_path: Path) -> Commands:
    """Commands on an empty home."""
    return Commands({"HASHDB_HOME": str(tmp_path / "home")})


@pytest.fixture(scope="session")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of the service that the tests of this session share."""
    return tmp_path_factory.mktemp("served") / "home"


@pytest.fixture(scope="session")
def service_url(home: Path) -> Iterator[str]:
    """The address of a service with two workers."""
    with serving(home) as url:
        yield url


@pytest.fixture
def member(service_url: str, home: Path, request: pytest.FixtureRequest) -> Commands:
    """Commands of a member of the service, with a key of every scope. Each test gets a new member."""
    settings = Settings(home=home)
    db = open_hashdb(settings.database, settings.rules())
    added = members.add(db, COMMAND_LINE, MemberDraft(request.node.name[:90], MemberKind.PLATFORM))
    issued = members.issue_key(db, COMMAND_LINE, added.id, KeyDraft(frozenset(Scope)))
    db.close()
    return Commands({"HASHDB_HOME": str(home), "HASHDB_URL": service_url, "HASHDB_KEY": issued.secret})
