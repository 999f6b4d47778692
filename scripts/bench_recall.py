"""Tells what `hashdb evaluate FOLDER --output OUT` has found, against what is asked of the balanced profile.

`python -m scripts.bench_recall OUT/evaluation.json --pictures "what they are"` writes docs/benchmarks/recall.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from scripts.benchmarks.report import Target, machine, table, targets, told, write

PROFILE = "balanced"
SIZES = ("half size", "quarter size", "200 px")
COLOURS = ("brightness", "contrast", "gamma", "saturation", "warmer", "grey")
DETAILS = ("sharpened", "blur 1", "blur 3", "noise")
ASKED = {
    "recompression, size, colour and blur": (99, ("JPEG", "WebP", "saved", *SIZES, *COLOURS, *DETAILS)),
    "watermark and logo": (99, ("watermark", "tiled watermark", "logo")),
    "centred crops to 10 %": (99, ("crop 2 %", "crop 5 %", "crop 10 %")),
    "centred crops to 20 %": (95, ("crop 15 %", "crop 20 %")),
    "mirrored, turned by quarters, bordered, letterboxed": (
        97,
        ("mirrored", "flipped", "turned", "border 2", "border 5 %", "border 10", "letterbox", "pillarbox"),
    ),
    "tilted to 2°": (95, ("tilted 1°", "tilted 2°")),
    "tilted to 5°": (80, ("tilted 3°", "tilted 5°")),
    "caption bars": (95, ("caption above", "caption below")),
    "10 % off one side": (98, ("10 % off one side",)),
    "15 % off one side": (90, ("15 % off one side",)),
    "10 % and 5 % off a corner": (80, ("10 % and 5 % off a corner",)),
    "halved memes with caption": (92, ("meme",)),
}
"""Per cent that are to be recognised at least, of the alterations whose names begin so."""
CHAINS = ("letterbox,", "mirrored,", "border,")


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="scripts/bench recall", description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--pictures", required=True, help="what they are, to be told in the page")
    arguments = parser.parse_args()
    found = json.loads(arguments.file.read_text("utf-8"))
    recalls = _recalls(found)
    choices = [one for one in found["choices"] if one["transforms"]]
    measured = machine("numpy", "pillow", "imagehash")
    lines = [
        "# What is recognised, measured",
        "",
        "For engineers who choose a profile: which altered pictures each profile recognises, and how often it matches "
        "different pictures.",
        "",
        "Written by `./scripts/bench recall`; do not edit.",
        told(measured),
        f"{found['pictures']:,} pictures, altered with seed {found['seed']}: {arguments.pictures}.",
        "[The evaluation](../evaluation.md) describes the method.",
        "",
        "## Targets",
        *targets([*_recognised(found, recalls), *_mistaken(found, choices)]),
        "## Pairs of different pictures",
        "",
        "The nearest pair, and the rate of false matches for a pair of pictures at the radius in force; "
        f"the target for all algorithms together is {found['rate']:.0e}.",
        *table(("algorithm", "profile", "radius", "nearest pair", "estimate", "upper end", "counted"), _pairs(choices)),
        "## Each alteration",
        "",
        "Percentage recognised by any algorithm at the radius in force, with transforms.",
        *table(("alteration", *recalls), _alterations(found, recalls)),
    ]
    results = {"machine": measured, "pictures": found["pictures"], "recall": recalls, "pairs": _pairs(choices)}
    write("recall", lines, results)


def _recalls(found: Mapping[str, Any]) -> dict[str, list[float]]:
    """Per cent recognised of each alteration, by profile."""
    return {
        one["profile"]: [round(100 * share, 2) for share in one["recall_in_force"]]
        for one in found["together"]
        if one["transforms"]
    }


def _recognised(found: Mapping[str, Any], recalls: Mapping[str, list[float]]) -> list[Target]:
    names = [one["name"] for one in found["alterations"]]
    told = []
    for what, (asked, beginnings) in ASKED.items():
        each = {
            name: share
            for name, share in zip(names, recalls[PROFILE], strict=True)
            if name.startswith(beginnings) and not name.startswith(CHAINS)
        }
        least = min(each, key=lambda name: each[name])
        measured = f"{each[least]:.1f} %" + (f" ({least})" if len(each) > 1 else "")
        told.append(Target(f"{what}, {PROFILE}", f"≥ {asked} %", measured, each[least] >= asked))
    return told


def _mistaken(found: Mapping[str, Any], choices: list[dict[str, Any]]) -> list[Target]:
    told = []
    for algorithm in ("pdq", "phash256"):
        [one] = [one for one in choices if (one["algorithm"], one["profile"]) == (algorithm, PROFILE)]
        within = one["pairs_within"][one["radius_in_force"]]
        upper, share = one["tail"]["high"][one["radius_in_force"]], found["rate"] / 3
        what = f"{algorithm}, {PROFILE}: false matches for a pair, upper end of the estimate"
        told.append(Target(what, f"≤ {share:.1e}", f"{upper:.1e}", upper <= share))
        told.append(
            Target(f"{algorithm}, {PROFILE}: false matches counted", "0", f"{within} of {one['pairs']:,}", within == 0)
        )
    return told


def _pairs(choices: list[dict[str, Any]]) -> list[list[object]]:
    rows: list[list[object]] = []
    for one in choices:
        radius, tail = one["radius_in_force"], one["tail"]
        estimate, upper = tail["cautious"][radius], tail["high"][radius]
        nearest = min(pair["distance"] for pair in one["nearest"])
        rows.append(
            [
                one["algorithm"],
                one["profile"],
                radius,
                nearest,
                f"{estimate:.1e}",
                f"{upper:.1e}",
                f"{one['pairs_within'][radius]} of {one['pairs']:,}",
            ]
        )
    return rows


def _alterations(found: Mapping[str, Any], recalls: Mapping[str, list[float]]) -> list[list[object]]:
    names = [one["name"] for one in found["alterations"]]
    return [[name, *(f"{share[place]:.1f}" for share in recalls.values())] for place, name in enumerate(names)]


if __name__ == "__main__":
    main()
