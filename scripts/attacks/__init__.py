"""Attacks on a hashdb that they start. Each module is one attack; its docstring is the description.

A module has `SECONDS`, the time limit of the attack, and `run()`, which yields its findings.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """What the attack tried, the limit that must hold, what was measured, and whether the limit holds."""

    tried: str
    bound: str
    measured: str
    holds: bool
