"""Pages whose parts can be measured one at a time: the other parts keep the figures of earlier runs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from hashdb.index.kernel import implementation_name
from scripts.benchmarks import report
from scripts.benchmarks.report import Target

Measured: TypeAlias = tuple[Any, Sequence[Target], Sequence[str]]
"""The figures of a part for the JSON file, its targets, and its lines of the page."""


class ResumablePage:
    """A page whose JSON file stores each part as soon as it is measured; with `quick` it writes nothing."""

    def __init__(self, name: str, parts: Sequence[str], *packages: str, keep: bool, quick: bool) -> None:
        """Read the JSON file if `keep` is set, to keep its parts. `parts` are in the order of the page."""
        self._name, self._parts, self._packages, self._quick = name, parts, packages, quick
        self._file = report.FOLDER / f"{name}.json"
        is_kept = keep and not quick and self._file.exists()
        self.results: dict[str, Any] = json.loads(self._file.read_text("utf-8")) if is_kept else {"parts": {}}

    def measure(self, part: str, act: Callable[[], Measured]) -> None:
        """Measure a part and store its figures."""
        machine, started = report.machine(*self._packages), time.monotonic()
        figures, targets, lines = act()
        measured = {
            "machine": machine,
            "engine": implementation_name(),
            "figures": figures,
            "targets": targets,
            "lines": lines,
        }
        self.results["parts"][part] = measured
        print(f"hashdb: {part}: {time.monotonic() - started:.0f} s", file=sys.stderr)
        if not self._quick:
            self._file.write_text(json.dumps(self.results, ensure_ascii=False), "utf-8")

    def write(self, title: str, readers: str, *sentences: str) -> None:
        """Write the page of all parts that have been measured, with these sentences above the targets."""
        measured = {part: self.results["parts"][part] for part in self._parts if part in self.results["parts"]}
        last = list(measured.values())[-1]
        loads = ", ".join(f"{result['machine']['load']:.1f} ({part})" for part, result in measured.items())
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
