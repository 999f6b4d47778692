"""Compare the results of `hashdb evaluate --attacks FOLDER --output OUT` with the targets.

`python -m scripts.bench_attacks OUT --pictures "description"` writes docs/benchmarks/attacks.md.
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
TARGETS = (
    ("escapes, knows the code and not the secret, 32 dB and above", ("evade-code", "evade-average"), "32", 0.05),
    ("escapes by its signatures, 32 dB and above", ("evade-signatures",), "32", 0.05),
    ("a harmless picture is bent onto a listed one, 30 dB", ("bend",), "30", 0.01),
)
"""For each target: the attacks, the decibels, and the largest share of attacks that may succeed."""


def main() -> None:
    """Compare the results with the targets, and write the page."""
    parser = argparse.ArgumentParser(prog="scripts/bench attacks", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", required=True, help="description of the pictures for the page")
    arguments = parser.parse_args()
    evaluation = json.loads((arguments.folder / "evaluation.json").read_text("utf-8"))
    attacks = evaluation["attacks"]
    measured = machine("numpy", "pillow", "imagehash")
    lines = [
        *opening("Attacks", _READERS, "bench attacks", measured),
        f"{evaluation['pictures']:,} pictures, drawn by seed {evaluation['seed']}: {arguments.pictures}.",
        "[The evaluation](../evaluation.md#attacks) describes the method, "
        "and [the threats](../threats.md#evasion-by-a-computed-change) the consequences.",
        "",
        "## Targets",
        *targets(list(_targets({attack["attack"]: attack for attack in attacks}))),
        "## Each attack",
        "",
        "The median of the decibels of successful attacks, "
        "and the percentage that succeeds at this number of decibels or more.",
        *table(("attack", "median, dB", *(f"≥ {decibels} dB" for decibels in attacks[0]["shares"])), _rows(attacks)),
    ]
    write("attacks", lines, {"machine": measured, **evaluation})


def _targets(attacks: Mapping[str, Mapping[str, Any]]) -> Iterator[Target]:
    for title, names, decibels, most in TARGETS:
        share = max(attacks[name]["shares"][decibels] for name in names)
        yield Target(title, f"≤ {most:.0%}", f"{share * 100:.1f} %", share <= most)


def _rows(attacks: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    return [
        [
            attack["says"],
            "–" if attack["median"] is None else f"{attack['median']:.1f}",
            *(f"{share * 100:.1f}" for share in attack["shares"].values()),
        ]
        for attack in attacks
    ]


if __name__ == "__main__":
    main()
