"""Tells what `hashdb evaluate --attacks FOLDER --output OUT` has found, against what is asked.

`python -m scripts.bench_attacks OUT --pictures "what they are"` writes docs/benchmarks/attacks.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from scripts.benchmarks.report import Target, machine, opening, table, targets, write

_READERS = (
    "For engineers and auditors: how little a picture must change to escape, or to match a picture that it is not."
)
ASKED = (
    ("escapes, knows the code and not the secret, 32 dB and above", ("evade-code", "evade-average"), "32", 0.05),
    ("escapes by its signatures, 32 dB and above", ("evade-signatures",), "32", 0.05),
    ("a harmless picture is bent onto a listed one, 30 dB", ("bend",), "30", 0.01),
)
"""What the largest share of some attacks at some decibels may be."""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="scripts/bench attacks", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", required=True, help="what they are, to be told in the page")
    arguments = parser.parse_args()
    found = json.loads((arguments.folder / "evaluation.json").read_text("utf-8"))
    attacks = found["attacks"]
    measured = machine("numpy", "pillow", "imagehash")
    lines = [
        *opening("Attacks", _READERS, "bench attacks", measured),
        f"{found['pictures']:,} pictures, drawn by seed {found['seed']}: {arguments.pictures}.",
        "[The evaluation](../evaluation.md#attacks) describes the method, "
        "and [the threats](../threats.md#evasion-by-a-computed-change) what follows from it.",
        "",
        "## Targets",
        *targets(list(_targets({one["attack"]: one for one in attacks}))),
        "## Each attack",
        "",
        "The median of the decibels of those that succeed, "
        "and the percentage that succeeds at so many decibels or more.",
        *table(("attack", "median, dB", *(f"≥ {decibels} dB" for decibels in attacks[0]["shares"])), _rows(attacks)),
    ]
    write("attacks", lines, {"machine": measured, **found})


def _targets(attacks: Mapping[str, Mapping[str, Any]]) -> Iterator[Target]:
    for what, names, decibels, most in ASKED:
        share = max(attacks[name]["shares"][decibels] for name in names)
        yield Target(what, f"≤ {most:.0%}", f"{share * 100:.1f} %", share <= most)


def _rows(attacks: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    return [
        [
            one["says"],
            "–" if one["median"] is None else f"{one['median']:.1f}",
            *(f"{share * 100:.1f}" for share in one["shares"].values()),
        ]
        for one in attacks
    ]


if __name__ == "__main__":
    main()
