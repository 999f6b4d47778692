"""Text output: tables of any width, and progress bars on a terminal only."""

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


def _output_on_a_terminal(program: str) -> str:
    """The output of a program on a terminal with 30 columns."""
    reading_end, writing_end = os.openpty()
    with open(reading_end, "rb", buffering=0) as terminal:
        environment = os.environ | {"COLUMNS": "30", "TERM": "xterm"}
        command = [sys.executable, "-c", program]
        subprocess.run(command, stdout=writing_end, stderr=writing_end, env=environment, check=True, timeout=60)
        os.close(writing_end)
        output = b""
        try:
            while chunk := terminal.read(4096):
                output += chunk
        except OSError:
            # Linux raises this error when the other end is closed.
            pass
    return output.decode()


def test_a_table_is_aligned_and_wrapped_on_a_narrow_terminal() -> None:
    assert _output_on_a_terminal(_TABLE).splitlines() == [
        "\x1b[1mname   n  note\x1b[0m",
        "a      1  abcdefghijklmnopqrst",
        "          uvwxyz",
        "日本  22",
    ]
    process = subprocess.run([sys.executable, "-c", _TABLE], capture_output=True, text=True, check=True)
    assert process.stdout.splitlines() == ["name   n  note", "a      1  abcdefghijklmnopqrstuvwxyz", "日本  22"]


def test_progress_is_shown_on_a_terminal_only() -> None:
    output = _output_on_a_terminal(_PROGRESS)
    assert "3/3" in output and "syncing  3" in output
    process = subprocess.run([sys.executable, "-c", _PROGRESS], capture_output=True, text=True, check=True)
    assert process.stdout == process.stderr == ""
