"""Curves of recall against false matches, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import log10
from typing import Final, NamedTuple

from hashdb.evaluation.evaluations import Choice, Evaluation, Outcome

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 360, 240, 38, 8, 26, 38
_RAREST, _MOST = -15, -2
"""Decimal exponents of the false matches at the ends of the axis."""
STYLE: Final = """
svg { font: 11px system-ui, sans-serif; color-scheme: light dark; }
svg text { fill: #333; } svg .title { font-size: 13px; font-weight: 600; }
svg .grid { stroke: #ddd; fill: none; } svg .goal { stroke: #888; stroke-dasharray: 2 3; fill: none; }
svg .line { fill: none; stroke-width: 1.6; }
svg .pdq { stroke: #1f6fd1; } svg .phash256 { stroke: #d1481f; } svg .phash { stroke: #2e8b57; }
svg .dhash { stroke: #8a4fc9; } svg .whash { stroke: #b8860b; } svg .ahash { stroke: #777; }
svg .thin { stroke-width: 1; stroke-dasharray: 1 3; } svg .plain { stroke-dasharray: 4 3; }
svg .balanced { stroke-dasharray: 9 2; }
@media (prefers-color-scheme: dark) {
  svg text { fill: #ddd; } svg .grid { stroke: #444; }
  svg .pdq { stroke: #6cb0ff; } svg .phash256 { stroke: #ff8a66; } svg .phash { stroke: #6fd39c; }
}
"""
"""How the parts are drawn; needed once, beside the drawings or in them."""


class Line(NamedTuple):
    """One choice: the classes that say how it is drawn, its name, and (false matches per pair, recall) points."""

    classes: str
    name: str
    points: Sequence[tuple[float, float]]


def lines(evaluation: Evaluation, places: Sequence[int]) -> list[Line]:
    """A line for each choice, of the mean recall of some alterations."""
    return [Line(_classes(outcome.choice), str(outcome.choice), outcome.curve(places)) for outcome in shown(evaluation)]


def shown(evaluation: Evaluation) -> list[Outcome]:
    """The outcomes that are drawn: without transforms the plain profile only, and every profile with them."""
    first = evaluation.scheme.profiles[0]
    return [one for one in evaluation.outcomes if one.choice.transforms or one.choice.profile == first]


def drawing(title: str, lines: Sequence[Line], rate: float, *, alone: bool = False) -> str:
    """Recall upwards, false matches per pair of pictures to the right (logarithmic), with a mark at `rate`.

    `alone` makes it a file of its own, with its style and its legend.
    """
    height = _HEIGHT + (16 * len(lines) + 8 if alone else 0)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        *([f"<style>{STYLE}</style>"] if alone else []),
        f'<text class="title" x="4" y="15">{escape(title)}</text>',
        *_axes(),
        f'<path class="goal" d="M{_x(rate):.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>',
    ]
    for line in lines:
        points = " ".join(f"{_x(rate):.1f},{_y(recall):.1f}" for rate, recall in _within(line.points))
        parts.append(
            f'<polyline class="line {line.classes}" points="{points}"><title>{escape(line.name)}</title></polyline>'
        )
    if alone:
        parts += _legend(lines)
    return "\n".join([*parts, "</svg>"])


def sample(classes: str) -> str:
    """A short piece of a line, for a legend."""
    return f'<svg viewBox="0 0 30 8" width="30" height="8"><path class="line {classes}" d="M0 4H30"/></svg>'


def _classes(choice: Choice) -> str:
    return f"{choice.algorithm} {choice.profile if choice.transforms else 'thin'}"


def _axes() -> list[str]:
    parts = []
    for percent in range(0, 101, 20):
        y = _y(percent / 100)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(f'<text x="{_LEFT - 4}" y="{y + 4:.1f}" text-anchor="end">{percent} %</text>')
    for exponent in range(_RAREST, _MOST + 1, 2):
        x = _x(10.0**exponent)
        parts.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>')
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 14}" text-anchor="middle">1e{exponent}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{_HEIGHT - 8}" text-anchor="middle">false matches per pair of pictures</text>')
    return parts


def _legend(lines: Sequence[Line]) -> list[str]:
    parts = []
    for row, line in enumerate(lines):
        y = _HEIGHT + 16 * row + 8
        parts.append(f'<path class="line {line.classes}" d="M{_LEFT} {y}h30"/>')
        parts.append(f'<text x="{_LEFT + 36}" y="{y + 4}">{escape(line.name)}</text>')
    return parts


def _within(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(rate, recall) for rate, recall in points if 10.0**_RAREST <= rate <= 10.0**_MOST]


def _x(rate: float) -> float:
    place = (log10(rate) - _RAREST) / (_MOST - _RAREST)
    return _LEFT + min(1, max(0, place)) * (_WIDTH - _LEFT - _RIGHT)


def _y(recall: float) -> float:
    return _HEIGHT - _BOTTOM - recall * (_HEIGHT - _TOP - _BOTTOM)
