"""Output for people: tables of any width, and progress on a terminal only."""

from __future__ import annotations

import os
import subprocess
import sys

_TABLE = """
from hashdb.cli.output import print_table
print_table(["name", ">n", "note"], [["a", "1", "abcdefghijklmnopqrstuvwxyz"], ["日本", "22", ""]])
"""
_PROGRESS = """
from hashdb.cli.output import progress_bar
for bar in progress_bar("hashing", 3), progress_bar("syncing"):
    with bar as advance:
        for _ in range(3):
            advance()
"""


def _on_a_terminal(program: str) -> str:
    """What a program writes on a terminal with 30 columns."""
    ours, theirs = os.openpty()
    with open(ours, "rb", buffering=0) as terminal:
        environment = os.environ | {"COLUMNS": "30", "TERM": "xterm"}
        words = [sys.executable, "-c", program]
        subprocess.run(words, stdout=theirs, stderr=theirs, env=environment, check=True, timeout=60)
        os.close(theirs)
        written = b""
        try:
            while part := terminal.read(4096):
                written += part
        except OSError:
            # So Linux says that the other end is closed.
            pass
    return written.decode()


def test_a_table_is_aligned_and_folded_where_the_terminal_is_narrow() -> None:
    assert _on_a_terminal(_TABLE).splitlines() == [
        "\x1b[1mname   n  note\x1b[0m",
        "a      1  abcdefghijklmnopqrst",
        "          uvwxyz",
        "日本  22",
    ]
    done = subprocess.run([sys.executable, "-c", _TABLE], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["name   n  note", "a      1  abcdefghijklmnopqrstuvwxyz", "日本  22"]


def test_progress_is_shown_on_a_terminal_only() -> None:
    shown = _on_a_terminal(_PROGRESS)
    assert "3/3" in shown and "syncing  3" in shown
    done = subprocess.run([sys.executable, "-c", _PROGRESS], capture_output=True, text=True, check=True)
    assert done.stdout == done.stderr == ""
