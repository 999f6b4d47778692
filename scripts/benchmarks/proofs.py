"""What each part of the benchmark of proofs has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from scripts.benchmarks.report import Target

Figures = Mapping[str, Any]
"""What was measured, as JSON has it."""


class Part(NamedTuple):
    """A part of the page: its title, what measures it (`quick` or not), its targets and its lines."""

    title: str
    measure: Callable[[bool], Figures]
    targets: Callable[[Figures], Sequence[Target]]
    lines: Callable[[Figures], Sequence[str]]
