"""Pages of several parts, each of which can be measured alone: what earlier runs have measured of the others stays."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from hashdb.index.kernel import implementation
from scripts.benchmarks import report
from scripts.benchmarks.report import Target

Measured: TypeAlias = tuple[Any, Sequence[Target], Sequence[str]]
"""The figures of a part, as JSON has them, its targets, and its lines of the page."""


class PartedPage:
    """One page, whose file of JSON keeps each part as soon as it is measured; `quick` writes nothing."""

    def __init__(self, name: str, parts: Sequence[str], *packages: str, keep: bool, quick: bool) -> None:
        """`parts` are in the order of the page. With `keep`, the parts that the file has stay."""
        self._name, self._parts, self._packages, self._quick = name, parts, packages, quick
        self._file = report.FOLDER / f"{name}.json"
        is_kept = keep and not quick and self._file.exists()
        self.results: dict[str, Any] = json.loads(self._file.read_text("utf-8")) if is_kept else {"parts": {}}

    def measure(self, part: str, act: Callable[[], Measured]) -> None:
        """Measure a part."""
        machine, begun = report.machine(*self._packages), time.monotonic()
        figures, targets, lines = act()
        measured = {
            "machine": machine,
            "engine": implementation(),
            "figures": figures,
            "targets": targets,
            "lines": lines,
        }
        self.results["parts"][part] = measured
        print(f"hashdb: {part}: {time.monotonic() - begun:.0f} s", file=sys.stderr)
        if not self._quick:
            self._file.write_text(json.dumps(self.results, ensure_ascii=False), "utf-8")

    def write(self, title: str, readers: str, *sentences: str) -> None:
        """Write the page of all parts that have been measured, with these sentences above the targets."""
        measured = {part: self.results["parts"][part] for part in self._parts if part in self.results["parts"]}
        last = list(measured.values())[-1]
        loads = ", ".join(f"{one['machine']['load']:.1f} ({part})" for part, one in measured.items())
        lines = [
            *report.opening(title, readers, f"bench {self._name}", last["machine"]),
            f"The index uses: {last['engine']}.",
            f"The load of the machine at the start of each part: {loads}; "
            "above the number of cores, all elapsed times are longer.",
            *sentences,
            "",
            "## Targets",
            *report.targets([Target(*row) for part in measured.values() for row in part["targets"]]),
            *[line for part in measured.values() for line in part["lines"]],
        ]
        if self._quick:
            print("\n".join(lines))
        else:
            report.write(self._name, lines, self.results)
