"""The file of `--state`: which files a command has done, so that a repeated one skips them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import click

from hashdb.cli.options import FILE
from hashdb.cli.output import AddElement, counted, escape_controls
from hashdb.errors import os_reason
from hashdb.index.folder import opener, restrict_access

DoneLine = dict[str, object]

state_option = click.option(
    "--state",
    type=FILE,
    help="File that records which files are done. If you run the command again, it skips them.",
)


class StateFile:
    """The file of `--state`: a JSON line for each file that is done, so that a repeated command skips it.

    A line holds the path, size in bytes and modification time, and the contribution's id, or as `did` the task. A file
    that has changed since counts as not done. Without a path, nothing is recorded.
    """

    def __init__(self, path: Path | None, task: str | None = None) -> None:
        """Read the recorded lines; a truncated line is ignored. Raises UsageError if the file cannot be read.

        `task` names what is done with a file if that gives no contribution id; lines of other tasks do not count.
        """
        self._file, self._path, self._task = None, path, task
        self._lines: dict[str, DoneLine] = {}
        self._skipped: list[DoneLine] = []
        if path is None:
            return
        try:
            self._file = open(path, "a+", encoding="utf-8", opener=opener)  # noqa: SIM115
            restrict_access(path)
            self._file.seek(0)
            text = self._file.read()
        except OSError as error:
            raise click.UsageError(f"the state file {path} cannot be used: {os_reason(error)}") from None
        except UnicodeDecodeError:
            raise click.UsageError(f"the state file {path} cannot be used: it is not UTF-8") from None
        for line in text.splitlines():
            try:
                entry = json.loads(line)
                self._lines[str(entry["path"])] = entry
            except (ValueError, LookupError, TypeError, RecursionError):
                continue
        if text and not text.endswith("\n"):
            self._file.write("\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def skip_done(self, files: Mapping[Path, str | None]) -> dict[Path, str | None]:
        """The files that are left to do, with their errors; `report_skipped` reports the others."""
        left: dict[Path, str | None] = {}
        for path, error in files.items():
            entry = self._lines.get(str(path))
            if entry is not None and error is None and entry == self._line(path, entry.get("id")):
                id = {} if self._task else {"id": entry["id"]}
                self._skipped.append({"path": str(path), **id, "known": True})
            else:
                left[path] = error
        return left

    def report_skipped(self, add: AddElement | None) -> None:
        """Print on standard error how many files were skipped, and pass an entry for each to `add`."""
        if self._skipped:
            files = counted(len(self._skipped), "file")
            click.echo(f"hashdb: {files} skipped: already in {escape_controls(self._path)}", err=True)
        if add is not None:
            for entry in self._skipped:
                add(entry)

    def record(self, path: Path, id: int | None = None) -> None:
        """Record that a file is done; the line is in the state file when this returns."""
        if self._file is not None:
            self._file.write(f"{json.dumps(self._line(path, id))}\n")
            self._file.flush()

    def _line(self, path: Path, id: object) -> DoneLine:
        """The line of a file as it is now; empty if there is no such file."""
        try:
            status = path.stat()
        except OSError:
            return {}
        entry: DoneLine = {"path": str(path), "size": status.st_size, "changed": status.st_mtime_ns}
        return entry | ({"did": self._task} if self._task else {"id": id})
