"""The manifest: which segment files make up the index, of which log, and up to which number."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hashdb.domain.signals import Algorithm
from hashdb.index import private
from hashdb.index.files import Step, no_step, sync_folder

NAME = "manifest.json"
"""Of the file in the folder."""
_VERSION = 2
NOWHERE = (0, 0)
"""The stamp of a folder without a manifest."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """The segments that hold every value of the events up to `covers`, of the log of this epoch.

    `leaf` is that of event `covers`, in hex: a log that was set back and grew again has another one there.
    """

    epoch: str
    covers: int = 0
    files: Mapping[Algorithm, tuple[str, ...]] = field(default_factory=dict)
    leaf: str = ""

    @property
    def void(self) -> bool:
        """Whether it says that what there was is of no use, and was thrown away."""
        return not self.covers and not self.files

    @property
    def names(self) -> frozenset[str]:
        """The files, of all algorithms."""
        return frozenset(name for names in self.files.values() for name in names)


def read_manifest(folder: Path) -> Manifest | None:
    """What the folder holds; None where there is nothing, or nothing that this version reads."""
    try:
        said = json.loads((folder / NAME).read_text("utf-8"))
        if said["version"] != _VERSION or said.pop("checksum") != _checksum(said):
            return None
        files = {Algorithm(name): tuple(map(str, names)) for name, names in said["files"].items()}
        return Manifest(str(said["epoch"]), int(said["covers"]), files, str(said["leaf"]))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def write_manifest(folder: Path, manifest: Manifest, step: Step = no_step) -> None:
    """Put a manifest in the place of the one before, at once: a reader sees either."""
    said: dict[str, object] = {
        "version": _VERSION,
        "epoch": manifest.epoch,
        "covers": manifest.covers,
        "leaf": manifest.leaf,
        "files": {str(algorithm): list(names) for algorithm, names in manifest.files.items()},
    }
    said["checksum"] = _checksum(said)
    unfinished = folder / f"{NAME}.part"
    step("manifest")
    with open(unfinished, "w", encoding="utf-8", opener=private.opener) as file:
        json.dump(said, file)
        file.flush()
        os.fsync(file.fileno())
    step("swap")
    unfinished.rename(folder / NAME)
    sync_folder(folder)
    step("swapped")


def stamp(folder: Path) -> tuple[int, int]:
    """What differs when the manifest has been replaced; cheap to ask."""
    try:
        status = (folder / NAME).stat()
    except OSError:
        return NOWHERE
    return status.st_ino, status.st_mtime_ns


def _checksum(said: object) -> int:
    return zlib.crc32(json.dumps(said, sort_keys=True).encode())
