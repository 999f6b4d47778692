"""hashdb: a shared database of perceptual hashes of removed terrorist content."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hashdb.client import Client
    from hashdb.domain.contributions import Amendment, Contribution, Draft, Filter
    from hashdb.domain.matching.matches import Match, Query, Result
    from hashdb.domain.review.cases import Decision, OpinionDraft, Stance
    from hashdb.domain.sharing.feed import Gone
    from hashdb.domain.signals import Algorithm, Signal
    from hashdb.hashing import Hashed, Limits, hash_file, hash_picture
    from hashdb.local import LocalIndex

__version__ = "0.2.0.dev0"
__all__ = [
    "Algorithm",
    "Amendment",
    "Client",
    "Contribution",
    "Decision",
    "Draft",
    "Filter",
    "Gone",
    "Hashed",
    "Limits",
    "LocalIndex",
    "Match",
    "OpinionDraft",
    "Query",
    "Result",
    "Signal",
    "Stance",
    "__version__",
    "hash_file",
    "hash_picture",
]

_HOMES = {
    "hashdb.client": ("Client",),
    "hashdb.domain.sharing.feed": ("Gone",),
    "hashdb.domain.contributions": ("Amendment", "Contribution", "Draft", "Filter"),
    "hashdb.domain.matching.matches": ("Match", "Query", "Result"),
    "hashdb.domain.review.cases": ("Decision", "OpinionDraft", "Stance"),
    "hashdb.domain.signals": ("Algorithm", "Signal"),
    "hashdb.hashing": ("Hashed", "Limits", "hash_file", "hash_picture"),
    "hashdb.local": ("LocalIndex",),
}
_HOME = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    """A public name, imported on first use, so that a command without it starts faster."""
    if name not in _HOME:
        raise AttributeError(f"module 'hashdb' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOME[name]), name)
