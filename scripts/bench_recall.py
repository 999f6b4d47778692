"""Compare the results of `hashdb evaluate FOLDER --apart --output OUT` with the targets of the balanced profile.

The folders within FOLDER are KIND/SET, like photographs/voc. `python -m scripts.bench_recall OUT --pictures
"description"` writes docs/benchmarks/recall.md. It also copies pictures of false matches for the sets in `--shown`;
name only sets whose pictures may be published.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from scripts.benchmarks.report import FOLDER, Target, machine, opening, table, targets, write

Set: TypeAlias = Mapping[str, Any]
_READERS = (
    "For engineers who choose a profile: which altered pictures a service matches, and how often it matches "
    "different pictures, by kind of picture."
)
PROFILE = "balanced"
PHOTOGRAPHS = "photographs"
GRAPHICS = ("flags", "logos", "cards", "memes")
TARGETS = {
    "recompression, size, colour and blur": (
        99,
        (
            *("JPEG", "WebP", "saved", "half size", "quarter size", "200 px", "brightness", "contrast", "gamma"),
            *("saturation", "warmer", "grey", "sharpened", "blur 1", "blur 3", "noise"),
        ),
    ),
    "watermark and logo": (99, ("watermark", "tiled watermark", "logo")),
    "centred crops to 10 %": (99, ("crop 2 %", "crop 5 %", "crop 10 %")),
    "centred crops to 20 %": (95, ("crop 15 %", "crop 20 %")),
    "mirrored, turned by quarters, bordered, letterboxed": (
        97,
        ("mirrored", "flipped", "turned", "border 2", "border 5 %", "border 10", "letterbox", "pillarbox"),
    ),
    "inverted": (100, ("inverted",)),
    "tilted to 2°": (95, ("tilted 1°", "tilted 2°")),
    "tilted to 5°": (80, ("tilted 3°", "tilted 5°")),
    "tilted by 10° and 20°, whole": (98, ("tilted 10°, whole", "tilted 20°, whole")),
    "tilted by 45°, whole": (77, ("tilted 45°, whole",)),
    "tilted by 10° and 20°, cropped": (85, ("tilted 10°, cropped", "tilted 20°, cropped")),
    "caption bars": (95, ("caption above", "caption below")),
    "10 % off one side": (98, ("10 % off one side",)),
    "15 % off one side": (90, ("15 % off one side",)),
    "20, 25 and 35 % off one side": (93, ("20 % off", "25 % off", "35 % off")),
    "10 % and 5 % off a corner": (80, ("10 % and 5 % off a corner",)),
    "to a square, 4:5 and 16:9, to 40 % of the area": (95, ("to a", "to 4", "to 16")),
    "half the area, anywhere": (85, ("half the area",)),
    "a black box, heavy text, eight emoji": (77, ("black box", "heavy text", "eight emoji")),
    "collages of two, three and four": (80, ("collage of two", "collage of three", "collage of four")),
    "picture in picture, 60 %": (93, ("picture in picture, 60",)),
    "picture in picture, 40 %": (92, ("picture in picture, 40",)),
    "picture in picture, 25 %": (72, ("picture in picture, 25",)),
    "on its blur, 9:16": (97, ("on its blur, 9:16",)),
    "on its blur, square": (93, ("on its blur",)),
    "on its blur, 16:9": (88, ("on its blur, 16:9",)),
    "dark post, chat, desktop": (95, ("dark post", "chat", "desktop")),
    "photographed from a screen": (50, ("photographed from a screen",)),
    "chains": (85, ()),
}
"""For each target: the least recall of photographs in per cent, and the beginnings of the names of the alterations."""
TARGETS_OF_GRAPHICS = 85, ("caption above", "caption below", "screenshot", "sticker")
MOST_FALSE, MOST_FALSE_OF_GRAPHICS = 1e-11, 1e-4
"""The largest rate of false matches for a pair."""


def main() -> None:
    """Compare the results with the targets, and write the page."""
    parser = argparse.ArgumentParser(prog="scripts/bench recall", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", required=True, help="description of the pictures for the page")
    parser.add_argument("--shown", nargs="*", default=(), help="sets whose false matches the page shows as pictures")
    arguments = parser.parse_args()
    sets: list[Set] = json.loads((arguments.folder / "evaluation.json").read_text("utf-8"))["sets"]
    measured = machine("numpy", "pillow", "imagehash")
    kinds = list(dict.fromkeys(map(_kind, sets)))
    lines = [
        *opening("What is recognised", _READERS, "bench recall", measured),
        f"{sum(each['pictures'] for each in sets):,} pictures in {len(sets)} sets, altered with seed "
        f"{sets[0]['seed']}: {arguments.pictures}.",
        "[The evaluation](../evaluation.md) describes the method.",
        "",
        "## Targets",
        "",
        f"For photographs with the {PROFILE} profile, unless a row says otherwise.",
        "A row for several alterations shows the worst of them.",
        *targets([*_recall_targets(sets), *_graphics_targets(sets, kinds), *_false_match_targets(sets)]),
        "## Different pictures",
        "",
        f"Every match of two pictures of a set that show different things is a false match; {PROFILE} profile.",
        "*Altered*: the query is an altered copy.",
        "The estimate is the upper end for a pair, times the share that the verification leaves.",
        *table(
            ("set", "pictures", "false matches", "of pairs", "altered", "of pairs, altered", "estimate, at most"),
            [_set_row(each) for each in sets],
        ),
        *_pictures(sets, arguments.folder, arguments.shown),
        "## Each alteration",
        "",
        f"Percentage of altered pictures that a service matches with the original, by kind; {PROFILE} profile.",
        *table(("alteration", *kinds), _alterations(sets, kinds)),
    ]
    results = {
        "machine": measured,
        "sets": [
            {
                "set": each["set"],
                "pictures": each["pictures"],
                "alterations": each["alterations"],
                "matched": each["matched"],
                "pairs": each["pairs"],
                "altered_pairs": each["altered_pairs"],
            }
            for each in sets
        ],
    }
    write("recall", lines, results)


def _kind(of_set: Set) -> str:
    return str(of_set["set"]).split("/")[0]


def _matched(of_set: Set) -> Mapping[str, Any]:
    """The results of a set with the profile."""
    results: list[Mapping[str, Any]] = [matched for matched in of_set["matched"] if matched["profile"] == PROFILE]
    return results[0]


def _recalls(sets: Sequence[Set], kind: str) -> dict[str, float]:
    """Per cent of the copies of a kind that match, by alteration."""
    sums: dict[str, list[float]] = {}
    for each in sets:
        if _kind(each) == kind:
            for alteration, share in zip(each["alterations"], _matched(each)["recall"], strict=True):
                both = sums.setdefault(alteration["name"], [0.0, 0.0])
                both[0] += share * alteration["copies"]
                both[1] += alteration["copies"]
    return {name: 100 * matched / max(1, copies) for name, (matched, copies) in sums.items()}


def _recall_targets(sets: Sequence[Set]) -> Iterator[Target]:
    recalls = _recalls(sets, PHOTOGRAPHS)
    if not recalls:
        return
    chains = {
        alteration["name"]
        for alteration in sets[0]["alterations"]
        if alteration["family"] == "chains" and "saved" not in alteration["name"]
    }
    for title, (least, beginnings) in TARGETS.items():
        selected = {
            name: share
            for name, share in recalls.items()
            if (name in chains if not beginnings else name.startswith(beginnings) and name not in chains)
            and not (beginnings == ("on its blur",) and name != "on its blur")
        }
        yield _target(title, least, selected)


def _graphics_targets(sets: Sequence[Set], kinds: Sequence[str]) -> Iterator[Target]:
    least, names = TARGETS_OF_GRAPHICS
    for kind in kinds:
        if kind in GRAPHICS:
            recalls = _recalls(sets, kind)
            yield _target(f"{kind}: caption, screenshot, sticker", least, {name: recalls[name] for name in names})


def _target(title: str, least: float, recalls: Mapping[str, float]) -> Target:
    worst = min(recalls, key=lambda name: recalls[name])
    measured = f"{recalls[worst]:.1f} %" + (f" ({worst})" if len(recalls) > 1 else "")
    return Target(title, f"≥ {least} %", measured, recalls[worst] >= least)


def _false_match_targets(sets: Sequence[Set]) -> Iterator[Target]:
    photographs = [each for each in sets if _kind(each) == PHOTOGRAPHS]
    rates = {each["set"]: rate for each in photographs if (rate := _matched(each)["upper_rate"]) is not None}
    if rates:
        worst = max(rates, key=lambda name: rates[name])
        title = "photographs: false matches for a pair, upper end of the estimate, worst set"
        yield Target(title, f"≤ {MOST_FALSE:.0e}", f"{rates[worst]:.1e} ({worst})", rates[worst] <= MOST_FALSE)
    counted = sum(_matched(each)["mistaken"] + _matched(each)["altered_mistaken"] for each in photographs)
    pairs = sum(each["pairs"] + each["altered_pairs"] for each in photographs)
    yield Target("photographs: false matches counted", "0", f"{counted} of {pairs:,}", counted == 0)
    for each in sets:
        if _kind(each) in GRAPHICS:
            counted = _matched(each)["mistaken"] + _matched(each)["altered_mistaken"]
            pairs = each["pairs"] + each["altered_pairs"]
            measured = f"{counted / pairs:.1e} ({counted:,} of {pairs:,})"
            met = counted / pairs <= MOST_FALSE_OF_GRAPHICS
            yield Target(f"{each['set']}: false matches for a pair", f"≤ {MOST_FALSE_OF_GRAPHICS:.0e}", measured, met)


def _set_row(of_set: Set) -> list[object]:
    matched = _matched(of_set)
    rate = matched["upper_rate"]
    return [
        of_set["set"],
        of_set["pictures"],
        f"{matched['mistaken']:,}",
        f"{of_set['pairs']:,}",
        f"{matched['altered_mistaken']:,}",
        f"{of_set['altered_pairs']:,}",
        "–" if rate is None else f"{rate:.1e}",
    ]


def _pictures(sets: Sequence[Set], folder: Path, shown: Sequence[str]) -> Iterator[str]:
    """Copy the pictures of false matches of the sets in `shown`; yield the lines that show them."""
    shutil.rmtree(FOLDER / "recall", ignore_errors=True)
    for each in sets:
        pictures = sorted((folder / each["set"] / "mistakes").glob("*.jpg")) if each["set"] in shown else []
        if not pictures:
            continue
        (FOLDER / "recall").mkdir(exist_ok=True)
        yield from (f"### False matches: {each['set']}", "", "The query, perhaps altered, is at the left.", "")
        for picture in pictures:
            name = f"{each['set'].replace('/', '-')}-{picture.name}"
            shutil.copyfile(picture, FOLDER / "recall" / name)
            yield f"![Two pictures that match and show different things](recall/{name})"
        yield ""


def _alterations(sets: Sequence[Set], kinds: Sequence[str]) -> list[list[object]]:
    recalls = {kind: _recalls(sets, kind) for kind in kinds}
    names = [alteration["name"] for alteration in sets[0]["alterations"]]
    return [[name, *(f"{recalls[kind][name]:.0f}" for kind in kinds)] for name in names]


if __name__ == "__main__":
    main()
