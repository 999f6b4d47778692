"""Tells what `hashdb evaluate FOLDER --apart --output OUT` has found, against what is asked of the balanced profile.

The folders within FOLDER are KIND/SET, like photographs/voc. `python -m scripts.bench_recall OUT --pictures "what they
are"` writes docs/benchmarks/recall.md, and false matches as pictures: of the sets named by `--shown`, which anybody may
publish.
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
ASKED = {
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
"""Per cent of photographs that are to be recognised at least, of the alterations whose names begin so."""
ASKED_OF_GRAPHICS = 85, ("caption above", "caption below", "screenshot", "sticker")
RARE, RARE_OF_GRAPHICS = 1e-11, 1e-4
"""False matches for a pair, in all, at most."""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(prog="scripts/bench recall", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pictures", required=True, help="what they are, to be told in the page")
    parser.add_argument("--shown", nargs="*", default=(), help="sets of which false matches are published as pictures")
    arguments = parser.parse_args()
    found: list[Set] = json.loads((arguments.folder / "evaluation.json").read_text("utf-8"))["sets"]
    measured = machine("numpy", "pillow", "imagehash")
    kinds = list(dict.fromkeys(map(_kind, found)))
    lines = [
        *opening("What is recognised", _READERS, "bench recall", measured),
        f"{sum(one['pictures'] for one in found):,} pictures in {len(found)} sets, altered with seed "
        f"{found[0]['seed']}: {arguments.pictures}.",
        "[The evaluation](../evaluation.md) describes the method.",
        "",
        "## Targets",
        "",
        f"Of photographs with the {PROFILE} profile, unless a row says otherwise.",
        "A row for several alterations shows the worst of them.",
        *targets([*_recognised(found), *_recognised_graphics(found, kinds), *_mistaken(found)]),
        "## Different pictures",
        "",
        f"Every match of two pictures of a set that show different things is a false one; {PROFILE} profile.",
        "*Altered*: the query is an altered copy.",
        "The estimate is the upper end for a pair, times the share that the verification leaves.",
        *table(
            ("set", "pictures", "false matches", "of pairs", "altered", "of pairs, altered", "estimate, at most"),
            [_set_row(one) for one in found],
        ),
        *_pictures(found, arguments.folder, arguments.shown),
        "## Each alteration",
        "",
        f"Percentage that a service matches with its picture, by kind; {PROFILE} profile.",
        *table(("alteration", *kinds), _alterations(found, kinds)),
    ]
    results = {
        "machine": measured,
        "sets": [
            {
                "set": one["set"],
                "pictures": one["pictures"],
                "alterations": one["alterations"],
                "matched": one["matched"],
                "pairs": one["pairs"],
                "altered_pairs": one["altered_pairs"],
            }
            for one in found
        ],
    }
    write("recall", lines, results)


def _kind(one: Set) -> str:
    return str(one["set"]).split("/")[0]


def _of(one: Set) -> Mapping[str, Any]:
    """What is measured of a set with the profile."""
    found: list[Mapping[str, Any]] = [matched for matched in one["matched"] if matched["profile"] == PROFILE]
    return found[0]


def _recalls(found: Sequence[Set], kind: str) -> dict[str, float]:
    """Per cent of the copies of a kind that are matched, by alteration."""
    sums: dict[str, list[float]] = {}
    for one in found:
        if _kind(one) == kind:
            for alteration, share in zip(one["alterations"], _of(one)["recall"], strict=True):
                both = sums.setdefault(alteration["name"], [0.0, 0.0])
                both[0] += share * alteration["copies"]
                both[1] += alteration["copies"]
    return {name: 100 * matched / max(1, copies) for name, (matched, copies) in sums.items()}


def _recognised(found: Sequence[Set]) -> Iterator[Target]:
    recalls = _recalls(found, PHOTOGRAPHS)
    if not recalls:
        return
    chains = {
        one["name"] for one in found[0]["alterations"] if one["family"] == "chains" and "saved" not in one["name"]
    }
    for what, (asked, beginnings) in ASKED.items():
        each = {
            name: share
            for name, share in recalls.items()
            if (name in chains if not beginnings else name.startswith(beginnings) and name not in chains)
            and not (beginnings == ("on its blur",) and name != "on its blur")
        }
        yield _target(what, asked, each)


def _recognised_graphics(found: Sequence[Set], kinds: Sequence[str]) -> Iterator[Target]:
    asked, names = ASKED_OF_GRAPHICS
    for kind in kinds:
        if kind in GRAPHICS:
            recalls = _recalls(found, kind)
            yield _target(f"{kind}: caption, screenshot, sticker", asked, {name: recalls[name] for name in names})


def _target(what: str, asked: float, recalls: Mapping[str, float]) -> Target:
    least = min(recalls, key=lambda name: recalls[name])
    measured = f"{recalls[least]:.1f} %" + (f" ({least})" if len(recalls) > 1 else "")
    return Target(what, f"≥ {asked} %", measured, recalls[least] >= asked)


def _mistaken(found: Sequence[Set]) -> Iterator[Target]:
    photographs = [one for one in found if _kind(one) == PHOTOGRAPHS]
    rates = {one["set"]: rate for one in photographs if (rate := _of(one)["upper_rate"]) is not None}
    if rates:
        worst = max(rates, key=lambda name: rates[name])
        what = "photographs: false matches for a pair, upper end of the estimate, worst set"
        yield Target(what, f"≤ {RARE:.0e}", f"{rates[worst]:.1e} ({worst})", rates[worst] <= RARE)
    counted = sum(_of(one)["mistaken"] + _of(one)["altered_mistaken"] for one in photographs)
    pairs = sum(one["pairs"] + one["altered_pairs"] for one in photographs)
    yield Target("photographs: false matches counted", "0", f"{counted} of {pairs:,}", counted == 0)
    for one in found:
        if _kind(one) in GRAPHICS:
            counted = _of(one)["mistaken"] + _of(one)["altered_mistaken"]
            pairs = one["pairs"] + one["altered_pairs"]
            told = f"{counted / pairs:.1e} ({counted:,} of {pairs:,})"
            met = counted / pairs <= RARE_OF_GRAPHICS
            yield Target(f"{one['set']}: false matches for a pair", f"≤ {RARE_OF_GRAPHICS:.0e}", told, met)


def _set_row(one: Set) -> list[object]:
    matched = _of(one)
    rate = matched["upper_rate"]
    return [
        one["set"],
        one["pictures"],
        f"{matched['mistaken']:,}",
        f"{one['pairs']:,}",
        f"{matched['altered_mistaken']:,}",
        f"{one['altered_pairs']:,}",
        "–" if rate is None else f"{rate:.1e}",
    ]


def _pictures(found: Sequence[Set], folder: Path, shown: Sequence[str]) -> Iterator[str]:
    """Copy the pictures of false matches of some sets, and show them."""
    shutil.rmtree(FOLDER / "recall", ignore_errors=True)
    for one in found:
        pictures = sorted((folder / one["set"] / "mistakes").glob("*.jpg")) if one["set"] in shown else []
        if not pictures:
            continue
        (FOLDER / "recall").mkdir(exist_ok=True)
        yield from (f"### False matches: {one['set']}", "", "The query, perhaps altered, is at the left.", "")
        for picture in pictures:
            name = f"{one['set'].replace('/', '-')}-{picture.name}"
            shutil.copyfile(picture, FOLDER / "recall" / name)
            yield f"![Two pictures that match and show different things](recall/{name})"
        yield ""


def _alterations(found: Sequence[Set], kinds: Sequence[str]) -> list[list[object]]:
    recalls = {kind: _recalls(found, kind) for kind in kinds}
    names = [one["name"] for one in found[0]["alterations"]]
    return [[name, *(f"{recalls[kind][name]:.0f}" for kind in kinds)] for name in names]


if __name__ == "__main__":
    main()
