"""A second verifier of the log, written from RFC 9162 and the C2SP documents alone, without code of hashdb.

It takes the texts and JSON that the API returns, and recomputes every hash recursively.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def sha256(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()


def leaf_of(event: dict[str, Any]) -> bytes:
    """The leaf of an event that `GET /v1/events` returned."""
    fields = {name: value for name, value in event.items() if name != "leaf"}
    return sha256(b"\0" + json.dumps(fields, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode())


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root of the tree over these leaves."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"")
    left = split(len(leaves))
    return sha256(b"\1" + root_of(leaves[:left]) + root_of(leaves[left:]))


def root_by_inclusion(index: int, size: int, leaf: bytes, path: list[bytes]) -> bytes:
    """The root that an inclusion proof results in."""
    if size == 1:
        assert not path
        return leaf
    left, last = split(size), path[-1]
    if index < left:
        return sha256(b"\1" + root_by_inclusion(index, left, leaf, path[:-1]) + last)
    return sha256(b"\1" + last + root_by_inclusion(index - left, size - left, leaf, path[:-1]))


def roots_by_consistency(first: int, second: int, old: bytes, path: list[bytes]) -> tuple[bytes, bytes]:
    """The old and the new root that a consistency proof results in; `old` is the root that the verifier has."""
    return _roots(first, second, old, path, True)


def _roots(first: int, second: int, old: bytes, path: list[bytes], whole: bool) -> tuple[bytes, bytes]:
    if first == second:
        if whole:
            assert not path
            return old, old
        (both,) = path
        return both, both
    left, last = split(second), path[-1]
    if first <= left:
        below = _roots(first, left, old, path[:-1], whole)
        return below[0], sha256(b"\1" + below[1] + last)
    below = _roots(first - left, second - left, old, path[:-1], False)
    return sha256(b"\1" + last + below[0]), sha256(b"\1" + last + below[1])


def split(size: int) -> int:
    """The largest power of two below a size."""
    left = 1
    while left * 2 < size:
        left *= 2
    return left


def open_checkpoint(note: str, vkey: str) -> tuple[str, int, bytes]:
    """Origin, size and root of a signed checkpoint; raises an exception if the key did not sign it."""
    name, hash, key = vkey.split("+", 2)
    public = base64.b64decode(key)
    assert public[0] == 1
    assert sha256(name.encode() + b"\n" + public)[:4].hex() == hash
    text, _, signatures = note.rpartition("\n\n")
    (line,) = [line for line in signatures.splitlines() if line.startswith(f"\u2014 {name} ")]
    signature = base64.b64decode(line.split(" ")[2])
    assert signature[:4].hex() == hash
    Ed25519PublicKey.from_public_bytes(public[1:]).verify(signature[4:], f"{text}\n".encode())
    origin, size, root = text.split("\n")
    return origin, int(size), base64.b64decode(root)
