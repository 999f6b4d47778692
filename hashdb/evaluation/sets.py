"""Sets of pictures, measured apart: a kind of pictures that is confused is not hidden by one that is not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from PIL import Image, ImageOps

from hashdb.evaluation import figures
from hashdb.evaluation.alterations import ALTERATIONS
from hashdb.evaluation.figures import Document, Table, distinct_mistakes, format_rate
from hashdb.evaluation.runs import Evaluation
from hashdb.evaluation.samples import read_beside, reduced
from hashdb.hashing import Limits, read_file

Sets = Mapping[str, Evaluation]
"""The evaluation of each set, by its name: its folder, relative to the one that is measured."""
_SIDE: Final = 320  # pixels of a shown picture's longer side
MOST_SHOWN: Final = 12
"""False matches of a set that are written as pictures."""


def split(paths: Sequence[Path], folder: Path) -> dict[str, list[Path]]:
    """The paths by the folder that each is in, in order."""
    sets = defaultdict[str, list[Path]](list)
    for path in paths:
        sets[path.parent.relative_to(folder).as_posix()].append(path)
    return dict(sorted(sets.items()))


def summary(sets: Sets, profile: str) -> Table:
    """A row for each set: its recall and its false matches with one profile."""
    first = next(iter(sets.values()))
    columns = ("set", ">pictures", *figures.matches(first).columns[1:])
    rows = []
    for name, evaluation in sets.items():
        cells = next(row for row in figures.matches(evaluation).rows if row[0] == profile)
        rows.append((name, f"{len(evaluation.names)}", *cells[1:]))
    return Table(columns, rows)


def recalls(sets: Sets, profile: str) -> Table:
    """The percentage of each alteration's copies that a service matches, by set."""
    first = next(iter(sets.values()))
    rows = [
        (name, *(f"{100 * evaluation.matched[profile][place]:.0f}" for evaluation in sets.values()))
        for place, name in enumerate(first.scheme.alterations)
    ]
    return Table(("alteration", *(f">{name}" for name in sets)), rows)


def worst(sets: Sets, profile: str) -> str:
    """A sentence with the highest estimate of all sets, and the set that has it."""
    rates = {name: evaluation.upper_rate(profile) for name, evaluation in sets.items()}
    known = {name: rate for name, rate in rates.items() if rate is not None}
    if not known:
        return "No set has enough pairs for an estimate."
    name = max(known, key=lambda name: known[name])
    return f"False matches for a pair, at most, of the worst set: {format_rate(known[name])} ({name})."


def as_document(sets: Sets) -> Document:
    """All measurements as a JSON document, by set."""
    return {"sets": [{"set": name, **figures.as_document(evaluation)} for name, evaluation in sets.items()]}


def write_mistakes(evaluation: Evaluation, paths: Sequence[Path], folder: Path, limits: Limits) -> None:
    """Write the false matches as pictures, the query at the left, into files like `00.jpg`.

    `paths` are all that were to be measured, within `limits`. At most `MOST_SHOWN` are written: first those of queries
    that are not altered.
    """
    last = evaluation.scheme.profiles[-1]
    shown = [mistake for mistake in distinct_mistakes(evaluation) if mistake.profile == last]
    for number, mistake in enumerate(shown[:MOST_SHOWN]):
        place = evaluation.places[mistake.query]
        query, listed = (
            reduced(read_file(path, limits), limits) for path in (paths[place], evaluation.names[mistake.listed])
        )
        if mistake.alteration is not None:
            beside = read_beside(paths[(place + 1) % len(paths)], limits)
            query = ALTERATIONS[mistake.alteration].apply(query, f"{evaluation.scheme.seed} {place}", beside)
        folder.mkdir(parents=True, exist_ok=True)
        side_by_side(query, listed).save(folder / f"{number:02}.jpg", quality=80)


def side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    """Two pictures beside each other, each within 320 pixels."""
    board = Image.new("RGB", (2 * _SIDE + 8, _SIDE), (255, 255, 255))
    for place, picture in enumerate((left, right)):
        fitted = ImageOps.contain(picture, (_SIDE, _SIDE))
        start = place * (_SIDE + 8) + (_SIDE - fitted.width) // 2
        board.paste(fitted, (start, (_SIDE - fitted.height) // 2))
    return board
