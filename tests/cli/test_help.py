"""The help of every command: what it lists, and that it starts without what it does not need."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from hashdb.cli import hashdb
from tests.cli.conftest import Commands


def _imported(*arguments: str) -> set[str]:
    """The top-level packages that a command imports in a process of its own."""
    program = (
        "import sys; from hashdb.cli import hashdb; "
        f"hashdb.main({list(arguments)}, prog_name='hashdb', standalone_mode=False); "
        "print('\\n' + ' '.join({name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return set(done.stdout.splitlines()[-1].split())


def test_the_list_of_commands_imports_no_library_but_click() -> None:
    imported = _imported("--help")

    assert "click" in imported
    assert not imported & {"numpy", "scipy", "imagehash", "flask", "sqlalchemy", "pydantic", "httpx", "rich"}


@pytest.mark.parametrize("words", [("match",), ("contribute",), ("case", "list"), ("sync",), ("audit", "check")])
def test_a_command_of_a_member_imports_no_part_of_the_service(words: tuple[str, ...]) -> None:
    imported = _imported(*words, "--help")

    assert "httpx" in imported
    assert not imported & {"scipy", "flask", "sqlalchemy"}


def test_the_list_has_the_first_sentence_of_each_command(run: Commands) -> None:
    listed = run("--help").stdout
    context = click.Context(hashdb)
    for name in hashdb.list_commands(context):
        command = hashdb.get_command(context, name)
        assert command is not None and command.help is not None
        assert f"  {name} " in listed
        assert command.help.split("\n")[0] == hashdb.commands[name].short_help


def test_an_unknown_command_is_answered_with_the_nearest_one(run: Commands) -> None:
    done = run("mach", "upload.jpg")

    assert done.returncode == 2
    assert "Did you mean 'match'?" in done.stderr
