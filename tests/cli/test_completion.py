"""Shell completion: it offers the declared options and values, and imports no library that a command needs to run."""

from __future__ import annotations

import inspect
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import click

from scripts.docs import walk


def declarations_of(command: click.Command) -> list[object]:
    """What completion reads of a command: the names, the type and the values of each parameter."""
    return [
        [option.opts, option.type.name, list(getattr(option.type, "meanings", ())), option.nargs, option.multiple]
        for option in command.params
    ]


_PROGRAM = f"""
from __future__ import annotations
import json, sys
from hashdb.cli.completion import import_declarations_only
import_declarations_only()
import click
from hashdb.cli import hashdb as command_line
{inspect.getsource(walk)}
{inspect.getsource(declarations_of)}
print(json.dumps({{" ".join(words): declarations_of(command) for words, command in walk()}}))
print(*{{name.partition(".")[0] for name, module in sys.modules.items() if getattr(module, "__file__", None)}})
"""


def test_completion_reads_the_declarations_of_all_commands_and_imports_only_click() -> None:
    process = subprocess.run([sys.executable, "-c", _PROGRAM], capture_output=True, text=True, timeout=60, check=True)
    commands, imported = process.stdout.splitlines()

    assert json.loads(commands) == {" ".join(words): declarations_of(command) for words, command in walk()}
    assert "click" in imported.split()
    assert not set(imported.split()) & {"numpy", "PIL", "httpx", "pydantic", "sqlalchemy", "flask", "gunicorn", "rich"}


def test_bash_completes_commands_options_codes_values_and_files(tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "hashdb").write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m hashdb "$@"\n')
    (folder / "hashdb").chmod(0o755)
    script = """
        eval "$(_HASHDB_COMPLETE=bash_source hashdb)"
        compopt() { COMPREPLY+=("$@"); }  # bash allows the real one only while it completes.
        function offer {
            COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMPREPLY=()
            _hashdb_completion hashdb "${@: -1}"
            echo "${COMPREPLY[@]}"
        }
        offer hashdb withd
        offer hashdb withdraw --re
        offer hashdb withdraw 17 --reason wrong
        offer hashdb case decide 5 re
        offer hashdb import hash
    """
    process = subprocess.run(
        ["bash", "-c", script],
        env=os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert process.stdout.splitlines() == ["withdraw", "--reason", "wrong_label", "retire", "-o default"]
    assert process.stderr == ""


def test_the_program_completes_without_the_libraries_of_the_commands(tmp_path: Path) -> None:
    for package in ("numpy", "httpx", "pydantic", "sqlalchemy", "PIL", "flask"):
        (tmp_path / f"{package}.py").write_text("raise SystemExit(f'{__name__} was imported')")
    words = "hashdb key add Alpha --scope m"
    process = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; sys.path.insert(0, sys.argv.pop()); from hashdb.cli import main; main()",
            tmp_path,
        ],
        env=os.environ | {"_HASHDB_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": "5"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (process.stdout, process.stderr) == ("plain,match\n", "")
