"""An evaluation as one self-contained HTML page, and its curves of recall against false matches as SVG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from math import log10
from pathlib import Path
from typing import Final, NamedTuple

from jinja2 import ChoiceLoader, Environment, FileSystemLoader, PackageLoader, StrictUndefined

import hashdb
from hashdb.evaluation import figures, text_figures, video_figures
from hashdb.evaluation.copies import Form
from hashdb.evaluation.passages import TextForm
from hashdb.evaluation.runs import AlgorithmChoice, ChoiceResult, Evaluation
from hashdb.evaluation.texts import TextEvaluation
from hashdb.evaluation.videos import VideoEvaluation

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 360, 240, 38, 352, 26, 202  # of the drawing, and of its axes
_RAREST_EXPONENT, _MOST_FREQUENT_EXPONENT = -15, -2
"""Decimal exponents of the rates of false matches at the ends of the axis."""


class Line(NamedTuple):
    """The curve of one choice: its CSS classes, its name, and (false matches per pair, recall) points."""

    classes: str
    name: str
    points: Sequence[tuple[float, float]]

    @property
    def drawn(self) -> str:
        """The points within the axis, for SVG."""
        shown = (point for point in self.points if 10.0**_RAREST_EXPONENT <= point[0] <= 10.0**_MOST_FREQUENT_EXPONENT)
        return " ".join(f"{_x(rate)},{_y(recall)}" for rate, recall in shown)


def picture_page(evaluation: Evaluation) -> str:
    """The HTML page: without script and network, for narrow and wide screens, in light and dark."""
    families = [(str(family), lines(evaluation, positions)) for family, positions in evaluation.families()]
    drawings = [_mean_drawing(evaluation), *families]
    return _page("page.html", evaluation.unfit, evaluation.rate, evaluation=evaluation, drawings=drawings)


def picture_curves(evaluation: Evaluation) -> str:
    """The SVG file of the mean recall over all alterations, with its style and its legend."""
    return drawing(*_mean_drawing(evaluation), evaluation.rate)


RARE: Final = 1e-9
"""The rate of false matches for a pair of videos or texts that is aimed at."""


def video_page(evaluation: VideoEvaluation, unfit: Mapping[str, str]) -> str:
    """The HTML page of an evaluation of videos; `unfit` are the files that were not measured, with the reasons."""
    drawn = _video_lines(evaluation)
    return _page("videos.html", unfit, RARE, evaluation=evaluation, figures=video_figures, forms=Form, drawn=drawn)


def video_curves(evaluation: VideoEvaluation) -> str:
    """The SVG file of the share of copies that match, against false matches, by form."""
    return drawing("all copies", _video_lines(evaluation), RARE)


def _video_lines(evaluation: VideoEvaluation) -> list[Line]:
    """A line for each form; none if there are too few videos for an estimate."""
    # The tail estimates how often different videos match by accident, at rates that were not measured.
    tail = video_figures.false_matches(evaluation).rate.tail
    if tail is None:
        return []
    return _lines({str(form): video_figures.recall_curve(evaluation, form, tail) for form in Form})


def _lines(curves: Mapping[str, Sequence[tuple[float, float]]]) -> list[Line]:
    """The three lines of videos or of texts, in the colours of three algorithms."""
    classes = ("pdq", "phash256", "phash")
    return [Line(class_, name, points) for class_, (name, points) in zip(classes, curves.items(), strict=True)]


def text_page(evaluation: TextEvaluation, unfit: Mapping[str, str]) -> str:
    """The HTML page of an evaluation of texts; `unfit` are the files that were not measured, with the reasons."""
    drawn = _text_lines(evaluation)
    return _page("texts.html", unfit, RARE, evaluation=evaluation, figures=text_figures, forms=TextForm, drawn=drawn)


def text_curves(evaluation: TextEvaluation) -> str:
    """The SVG file of the share of passages that match, against false matches, by what was done to them."""
    return drawing("passages inside others", _text_lines(evaluation), RARE)


_OF_TEXTS: Final = {
    "as it is": ("as it is",),
    "10 % of the words changed": (
        "10 % of the words replaced",
        "10 % of the words left out",
        "10 % of words inserted",
        "10 % of the words misspelt",
    ),
    "20 % of the words replaced": ("20 % of the words replaced",),
}
"""The lines of texts, and the copies of each."""


def _text_lines(evaluation: TextEvaluation) -> list[Line]:
    """A line for each kind of change; none if there are too few texts for an estimate."""
    tail = text_figures.false_matches(evaluation).rate.tail
    if tail is None:
        return []
    return _lines({name: text_figures.recall_curve(evaluation, copies, tail) for name, copies in _OF_TEXTS.items()})


def _page(template: str, unfit: Mapping[str, str], rate: float, **values: object) -> str:
    """An HTML page. `unfit` are the files that were not measured, and `rate` is marked in the drawings."""
    reasons = [f"{path}: {reason}" for path, reason in unfit.items()]
    return _templates().get_template(template).render(values, rate=rate, alone=False, unfit=reasons)


def drawing(title: str, lines: Sequence[Line], rate: float) -> str:
    """An SVG file: recall upwards, false matches per pair to the right (logarithmic), with a mark at `rate`."""
    # `alone` adds the style and the legend.
    return _templates().get_template("curve.svg").render(title=title, lines=lines, rate=rate, alone=True)


def lines(evaluation: Evaluation, alterations: Sequence[int]) -> list[Line]:
    """A line for each choice that is drawn: the mean recall over the alterations at these positions of the scheme."""
    return [
        Line(_classes(outcome.choice), str(outcome.choice), outcome.curve(alterations)) for outcome in drawn(evaluation)
    ]


def drawn(evaluation: Evaluation) -> list[ChoiceResult]:
    """The outcomes that are drawn: without transforms only the first profile, with transforms every profile."""
    first = evaluation.scheme.profiles[0]
    return [outcome for outcome in evaluation.outcomes if outcome.choice.transforms or outcome.choice.profile == first]


_REPORT = Path(hashdb.__file__).parent / "web/templates/report"


@cache
def _templates() -> Environment:
    environment = Environment(
        # The second has the style of the console's reports.
        loader=ChoiceLoader([PackageLoader("hashdb.evaluation"), FileSystemLoader(_REPORT)]),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.globals |= {
        "width": _WIDTH,
        "height": _HEIGHT,
        "left": _LEFT,
        "right": _RIGHT,
        "top": _TOP,
        "bottom": _BOTTOM,
        "exponents": range(_RAREST_EXPONENT, _MOST_FREQUENT_EXPONENT + 1, 2),
        "x": _x,
        "y": _y,
        "figures": figures,
        "shade": _shade,
    }
    return environment


def _mean_drawing(evaluation: Evaluation) -> tuple[str, list[Line]]:
    """The title and the lines of the drawing of all alterations."""
    return "all alterations", lines(evaluation, range(len(evaluation.scheme.alterations)))


def _classes(choice: AlgorithmChoice) -> str:
    return f"{choice.algorithm} {choice.profile if choice.transforms else 'thin'}"


def _x(rate: float) -> str:
    """Where a rate is on the axis, as a number for SVG."""
    place = (log10(rate) - _RAREST_EXPONENT) / (_MOST_FREQUENT_EXPONENT - _RAREST_EXPONENT)
    return f"{_LEFT + min(1, max(0, place)) * (_RIGHT - _LEFT):.1f}"


def _y(recall: float, below: int = 0) -> str:
    """Where a recall (0 to 1) is on the axis, or `below` pixels below that, as a number for SVG."""
    return f"{_BOTTOM - recall * (_BOTTOM - _TOP) + below:.1f}"


def _shade(percent: str) -> str:
    """The CSS class of a cell with this percentage."""
    share = float(percent)
    return "high" if share >= 99 else "fair" if share >= 95 else "low" if share >= 80 else "none"
