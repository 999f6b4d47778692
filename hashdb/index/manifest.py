"""The manifest: which segment files make up the index, of which log, and up to which number."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from hashdb.domain.signals import Algorithm
from hashdb.index.files import Step, no_step, sync_folder

_NAME = "manifest.json"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """The segments that hold every value of the events up to `covers`, of the log of this epoch."""

    epoch: str
    covers: int = 0
    files: Mapping[Algorithm, tuple[str, ...]] = field(default_factory=dict)


def read_manifest(folder: Path) -> Manifest | None:
    """What the folder holds; None where there is nothing, or nothing that this version reads."""
    try:
        said = json.loads((folder / _NAME).read_text("utf-8"))
        if said["version"] != _VERSION:
            return None
        files = {Algorithm(name): tuple(map(str, names)) for name, names in said["files"].items()}
        return Manifest(str(said["epoch"]), int(said["covers"]), files)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def write_manifest(folder: Path, manifest: Manifest, step: Step = no_step) -> None:
    """Put a manifest in the place of the one before, at once: a reader sees either."""
    said = {
        "version": _VERSION,
        "epoch": manifest.epoch,
        "covers": manifest.covers,
        "files": {str(algorithm): list(names) for algorithm, names in manifest.files.items()},
    }
    unfinished = folder / f"{_NAME}.part"
    step("manifest")
    with unfinished.open("w", encoding="utf-8") as file:
        json.dump(said, file)
        file.flush()
        os.fsync(file.fileno())
    step("swap")
    unfinished.rename(folder / _NAME)
    sync_folder(folder)
    step("swapped")


def stamp(folder: Path) -> tuple[int, int]:
    """What differs when the manifest has been replaced; cheap to ask."""
    try:
        status = (folder / _NAME).stat()
    except OSError:
        return 0, 0
    return status.st_ino, status.st_mtime_ns
