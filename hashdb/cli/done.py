"""What a run over many files has done, in a small file: run again, it goes on from there."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

import click

from hashdb.cli.output import escaped
from hashdb.index.folder import opener, restrict

Noted = dict[str, object]

state_option = click.option(
    "--state",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A file in which what was done is noted: run again, it goes on from there.",
)


class Done:
    """A line for each file that is done: its path, size and time of change, and the contribution, or what was done.

    A file that has changed since is not done. Without a file to note it in, nothing is.
    """

    def __init__(self, noted_in: Path | None, did: str | None = None) -> None:
        """Reads what was noted; a line that was cut short counts as none. A usage error where it cannot be read.

        `did` says what is done, where there is no contribution to note; what else was done of a file is not that.
        """
        self._file, self._noted_in, self._did = None, noted_in, did
        self._known: dict[str, Noted] = {}
        if noted_in is None:
            return
        try:
            self._file = open(noted_in, "a+", encoding="utf-8", opener=opener)  # noqa: SIM115
            restrict(noted_in)
            self._file.seek(0)
            text = self._file.read()
        except (OSError, UnicodeDecodeError) as error:
            raise click.UsageError(f"{noted_in} cannot be used to note what is done: {error}") from None
        for line in text.splitlines():
            try:
                one = json.loads(line)
                self._known[str(one["path"])] = one
            except (ValueError, LookupError, TypeError):
                continue
        if text and not text.endswith("\n"):
            self._file.write("\n")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def apart(self, files: Mapping[Path, str | None]) -> tuple[dict[Path, str | None], list[Noted]]:
        """The files that are left to do, and what was noted of the others."""
        left: dict[Path, str | None] = {}
        before: list[Noted] = []
        for path, error in files.items():
            noted = self._known.get(str(path))
            if noted is not None and error is None and noted == self._line(path, noted.get("id")):
                before.append({"path": str(path)} | ({} if self._did else {"id": noted["id"]}) | {"known": True})
            else:
                left[path] = error
        return left, before

    def tell(self, before: Sequence[Noted], add: Callable[[Noted], None] | None) -> None:
        """Say how many were done before, on standard error, and each of them to `add`, where there is one."""
        if before:
            click.echo(f"hashdb: {len(before):,} done before, as {escaped(self._noted_in)} says", err=True)
        if add is not None:
            for one in before:
                add(one)

    def note(self, path: Path, id: int | None = None) -> None:
        """Note that a file is done, at once: the line is in the file when this returns."""
        if self._file is not None:
            self._file.write(f"{json.dumps(self._line(path, id))}\n")
            self._file.flush()

    def _line(self, path: Path, id: object) -> Noted:
        try:
            status = path.stat()
        except OSError:
            return {}
        noted: Noted = {"path": str(path), "size": status.st_size, "changed": status.st_mtime_ns}
        return noted | ({"did": self._did} if self._did else {"id": id})
