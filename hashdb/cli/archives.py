"""Archives: a backup as a file, packed and unpacked."""

from __future__ import annotations

import json
import re
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from hashdb.errors import BackupFailed, HashDBError
from hashdb.store import Store

FORMAT = 1
ABOUT, DATABASE, RECORD, KEY = "backup.json", "database", "checkpoints.txt", "signing.key"
"""The parts of a backup, of which the last two need not be there."""

_NAME = re.compile(r"hashdb-\d{8}T\d{6}Z(\.verified)?\.tar")
_VERIFIED, _FAILED = ".verified.tar", ".failed.tar"


def kind(store: Store) -> str:
    """The database that a backup is of, and can be restored into."""
    return "SQLite" if store.embedded else "PostgreSQL"


def pack(parts: dict[str, Path], whole: Path) -> None:
    """Write the parts into one file, with nothing of who wrote it."""
    with tarfile.open(whole, "x") as archive:
        for name, path in parts.items():
            archive.add(path, name, filter=_nobody)


def _nobody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o600
    return entry


def unpack(file: Path, folder: Path) -> dict[str, Path]:
    """What a backup holds, in a folder. Raises BackupFailed for what is none."""
    found: dict[str, Path] = {}
    try:
        with tarfile.open(file, "r:") as archive:
            for name in (ABOUT, DATABASE, RECORD, KEY):
                entry = archive.getmember(name) if name in archive.getnames() else None
                if entry is not None and (content := archive.extractfile(entry)) is not None:
                    found[name] = folder / name
                    with content, found[name].open("xb") as part:
                        shutil.copyfileobj(content, part)
        format = json.loads(found[ABOUT].read_bytes())["format"]
    except (tarfile.TarError, KeyError, TypeError, ValueError):
        raise BackupFailed(f"{file} is no backup of hashdb, or a damaged one") from None
    except OSError as error:
        raise BackupFailed(f"{file} cannot be unpacked: {(error.strerror or '').lower()}") from None
    if format != FORMAT or DATABASE not in found:
        raise BackupFailed(f"{file} is of another version of hashdb")
    return found


@contextmanager
def beside(file: Path) -> Iterator[Path]:
    """A folder for as long as it is needed, on the file's disk. Raises BackupFailed."""
    try:
        with tempfile.TemporaryDirectory(prefix=f".{file.name}-", dir=file.parent) as name:
            yield Path(name)
    except HashDBError:
        raise
    except OSError as error:
        raise BackupFailed(f"{file} cannot be written: {(error.strerror or '').lower()}") from None


def dated(folder: Path, now: datetime) -> Path:
    """Where a backup of this second goes in a folder of backups: their names sort by time. Raises BackupFailed."""
    file = folder / f"hashdb-{now:%Y%m%dT%H%M%SZ}.tar"
    for there in (file, file.with_suffix(_VERIFIED)):
        if there.exists():
            raise BackupFailed(f"{there} is there already: try again in a second")
    return file


def mark_verified(file: Path) -> Path:
    """Give a backup the name by which it is known to have been restored on trial; that name."""
    return file.rename(file.with_suffix(_VERIFIED))


def mark_failed(file: Path) -> None:
    """Give a backup the name by which it is known that its trial failed, and delete the earlier ones of its log.

    So tests that fail again and again do not fill the disk.
    """
    log = _log_of(file)
    for path in file.parent.glob(f"hashdb-*Z{_FAILED}"):
        if log is not None and _log_of(path) == log:
            path.unlink(missing_ok=True)
    file.rename(file.with_suffix(_FAILED))


def rotate(folder: Path, keep: int, log: str) -> list[str]:
    """Delete the backups of a log from a folder but the newest `keep`, and the newest that is verified; their names.

    Nothing else is deleted: a file of another name, of another log, or one that cannot be read as a backup stays. So
    do folders, but for those in which a backup was begun that was killed.
    """
    for path in folder.glob(".hashdb-*.tar-*"):
        if _NAME.fullmatch(path.name[1:].rpartition("-")[0]):
            shutil.rmtree(path, ignore_errors=True)
    named = [
        path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path.is_file() and not path.is_symlink()
    ]
    ours = sorted((path for path in named if _log_of(path) == log), key=lambda path: path.name, reverse=True)
    kept = {*ours[:keep], *[path for path in ours if path.name.endswith(_VERIFIED)][:1]}
    gone = [path for path in ours if path not in kept]
    for path in gone:
        path.unlink(missing_ok=True)
    return [path.name for path in gone]


def _log_of(file: Path) -> str | None:
    """Which log a backup is of; None where it does not say so."""
    with suppress(tarfile.TarError, KeyError, TypeError, ValueError, AttributeError, OSError):
        with tarfile.open(file, "r:") as archive:
            about = archive.extractfile(ABOUT)
            log = json.loads(about.read())["log"] if about is not None else None
        return log if isinstance(log, str) else None
    return None
