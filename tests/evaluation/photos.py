"""The photographs in the repository, sorted by name."""

from __future__ import annotations

from pathlib import Path

import hashdb

PHOTOS = sorted((Path(hashdb.__file__).parent / "photos").glob("*.jpg"))
