"""Text output: tables of any width, progress bars on a terminal only, and errors in one sentence."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from hashdb.cli.output import describe, describe_disk_error, write_text
from hashdb.errors import BadNote, StoreBusy
from tests.cli.conftest import Commands

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


@pytest.mark.parametrize(
    ("words", "closed", "status", "error"),
    [
        ("member list", ">&-", 0, ""),
        ("member list", "2>&-", 0, ""),
        ("user add ada --role admin --password", "<&-", 1, "hashdb: password: must have "),
        ("hash --urls -", "<&-", 0, ""),
    ],
)
def test_a_closed_stream_is_as_the_null_device(
    tmp_path: Path, words: str, closed: str, status: int, error: str
) -> None:
    process = subprocess.run(
        ["sh", "-c", f'exec "$0" -m hashdb {words} {closed}', sys.executable],
        env=os.environ | {"HASHDB_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert process.returncode == status
    assert process.stderr.startswith(error) and len(process.stderr.splitlines()) == bool(error)


def test_a_damaged_database_and_an_unusable_file_are_reported_in_one_sentence(run: Commands, tmp_path: Path) -> None:
    database = tmp_path / "home" / "hashdb.sqlite"
    database.parent.mkdir()
    database.write_bytes(b"garbage" * 100)
    sentence = "a database cannot be read or written: file is not a database"
    result = run("member", "list")
    assert (result.returncode, result.stdout, result.stderr) == (1, "", f"hashdb: {sentence}\n")
    with closing(sqlite3.connect(database)) as connection, pytest.raises(sqlite3.DatabaseError) as raised:
        connection.execute("SELECT * FROM sqlite_schema")
    assert describe_disk_error(raised.value) == sentence
    assert describe_disk_error(sqlite3.ProgrammingError("x")) is describe_disk_error(ValueError("x")) is None

    busy = StoreBusy(1)
    busy.__cause__ = raised.value
    assert describe(busy) == sentence
    busy.__cause__ = sqlite3.OperationalError("database is locked")
    assert describe(busy) == str(StoreBusy(1))

    folder = database / "monitor"
    result = run("monitor", "--once", "--folder", folder)
    assert (result.returncode, result.stderr) == (1, f"hashdb: {folder} cannot be used: not a directory\n")


def test_a_file_that_cannot_be_written_leaves_no_other_file(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(BadNote, match="folder cannot be written: is a directory"):
        write_text(tmp_path / "folder", "note")
    with pytest.raises(BadNote, match="none/note cannot be written: no such file"):
        write_text(tmp_path / "none" / "note", "note")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_pipe_is_written_to_and_a_link_stays(tmp_path: Path) -> None:
    pipe, link, file = tmp_path / "pipe", tmp_path / "link", tmp_path / "file"
    os.mkfifo(pipe)
    reading_end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_text(pipe, "note")
    assert (os.read(reading_end, 10), pipe.is_fifo()) == (b"note", True)
    os.close(reading_end)
    file.write_text("before")
    link.symlink_to(file)
    write_text(link, "note")
    assert (link.is_symlink(), file.read_text()) == (True, "note")
    link.unlink()
    link.symlink_to(link)
    write_text(link, "note")
    assert link.read_text() == "note"
