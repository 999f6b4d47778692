"""Measure the proofs of the log and of the active set; write docs/benchmarks/proofs.md and proofs.json.

    scripts/bench proofs [PART ...] [--quick]

Without a part, all parts are measured. The other parts keep their figures. `--quick` uses small databases and writes no
page.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from typing import Any

from scripts.benchmarks import proofs_commitments, proofs_receipts, proofs_set, report
from scripts.benchmarks.report import Part, Target

NAME = "proofs"
PARTS: Mapping[str, Part] = {
    "commitments": proofs_commitments.PART,
    "set": proofs_set.PART,
    "receipts": proofs_receipts.PART,
}
_PACKAGES = ("sqlalchemy", "cryptography")


def main() -> None:
    """Measure the named parts, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=(*PARTS, []), metavar="PART")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    measured = {}
    for name in options.parts or PARTS:
        figures = PARTS[name].measure(options.quick)
        print(json.dumps(figures), file=sys.stderr)
        measured[name] = {"machine": report.machine(*_PACKAGES), "figures": figures}
    if options.quick:
        print(json.dumps(measured, indent=1))
    else:
        # Read the file last: another process may have measured another part in the meantime.
        results = json.loads((report.FOLDER / f"{NAME}.json").read_text("utf-8")) | measured
        report.write(NAME, _lines(results), results)


def _lines(results: Mapping[str, Any]) -> list[str]:
    measured = [(part, results[name]) for name, part in PARTS.items() if name in results]
    targets: list[Target] = [target for part, result in measured for target in part.targets(result["figures"])]
    lines = ["# Proofs, measured", "", "Written by `./scripts/bench proofs`; do not edit.", "", "## Targets"]
    lines += report.targets(targets)
    for part, result in measured:
        lines += [
            "",
            f"## {part.title}",
            "",
            report.machine_sentence(result["machine"]),
            *part.lines(result["figures"]),
        ]
    return lines


if __name__ == "__main__":
    main()
