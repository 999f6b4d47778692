"""Archives: a backup as a file, packed and unpacked."""

from __future__ import annotations

import json
import shutil
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hashdb.errors import BackupFailed, HashDBError
from hashdb.store import Store

FORMAT = 1
ABOUT, DATABASE, RECORD, KEY = "backup.json", "database", "checkpoints.txt", "signing.key"
"""The parts of a backup, of which the last two need not be there."""


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
