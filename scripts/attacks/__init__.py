"""Attacks on a hashdb of our own: each module here is one, with its docstring as the description.

A module has `SECONDS`, after which it is ended, and `run()`, which yields its findings.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried: the bound that must hold, what was measured, and whether it holds."""

    tried: str
    bound: str
    measured: str
    holds: bool
