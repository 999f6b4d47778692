"""Contribute the pictures of a folder. Set HASHDB_URL and HASHDB_KEY (scope contribute); pass the folder."""

from __future__ import annotations

import hashlib
import sys
from datetime import UTC, datetime
from pathlib import Path

from hashdb import Client, Draft, hash_file
from hashdb.errors import InvalidInput, UnreadablePicture

with Client.from_environment() as client:
    algorithms = tuple(client.me().algorithms)
    for path in sorted(Path(sys.argv[1]).glob("*.jpg")):
        try:
            hashed = hash_file(path, algorithms)
            removed_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            draft = Draft(hashed.signals, ("glorification",), removed_at, hashed.quality, reference=path.name)
            # The key lets you repeat a failed request: the service stores it once. Each picture has its own key.
            key = hashlib.sha256(repr(draft).encode() + path.read_bytes()).hexdigest()
            (result,) = client.contribute([draft], idempotency_key=key).recorded
        except (UnreadablePicture, InvalidInput) as error:
            print(f"{path.name}: {error}", file=sys.stderr)
        else:
            print(f"{path.name}: contribution {result.contribution.id}{' (known)' * result.known}")
