"""A verifier of the log written apart from hashdb's: from the documents of RFC 9162 and C2SP, and nothing else.

It takes what the API answers (texts and JSON) and knows one way only: to compute everything anew, recursively.
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
    """The leaf of an event as `GET /v1/events` answers it."""
    said = {name: value for name, value in event.items() if name != "leaf"}
    return sha256(b"\0" + json.dumps(said, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode())


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over some leaves."""
    if len(leaves) < 2:
        return leaves[0] if leaves else sha256(b"")
    left = split(len(leaves))
    return sha256(b"\1" + root_of(leaves[:left]) + root_of(leaves[left:]))


def root_by_inclusion(index: int, size: int, leaf: bytes, path: list[bytes]) -> bytes:
    """The root that an inclusion proof leads to."""
    if size == 1:
        assert not path
        return leaf
    left, last = split(size), path[-1]
    if index < left:
        return sha256(b"\1" + root_by_inclusion(index, left, leaf, path[:-1]) + last)
    return sha256(b"\1" + last + root_by_inclusion(index - left, size - left, leaf, path[:-1]))


def roots_by_consistency(first: int, second: int, old: bytes, path: list[bytes]) -> tuple[bytes, bytes]:
    """The old and the new root that a consistency proof leads to; `old` is the root that is known."""
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


def opened(note: str, vkey: str) -> tuple[str, int, bytes]:
    """Origin, size and root of a checkpoint that the key signed; an exception where it did not."""
    name, hash, key = vkey.split("+", 2)
    public = base64.b64decode(key)
    assert public[0] == 1
    assert sha256(name.encode() + b"\n" + public)[:4].hex() == hash
    text, _, signatures = note.rpartition("\n\n")
    (line,) = [one for one in signatures.splitlines() if one.startswith(f"\u2014 {name} ")]
    signature = base64.b64decode(line.split(" ")[2])
    assert signature[:4].hex() == hash
    Ed25519PublicKey.from_public_bytes(public[1:]).verify(signature[4:], f"{text}\n".encode())
    origin, size, root = text.split("\n")
    return origin, int(size), base64.b64decode(root)
