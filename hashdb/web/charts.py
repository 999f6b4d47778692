"""Charts as SVG: bars beside their names, and columns over time."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

_WIDTH, _ROW, _NAME, _TOP = 360, 20, 150, 26
_HEIGHT, _FLOOR = 170, 142
_LONGEST = 24
STYLE: Final = """
svg { font: 12px system-ui, sans-serif; width: 100%; height: auto; }
svg text { fill: var(--ink); } svg .title { font-size: 13px; font-weight: 600; }
svg .bar { fill: var(--bar); } svg .line { stroke: var(--rule); }
"""


def bars(title: str, numbers: Sequence[tuple[str, int]]) -> str:
    """A bar for each name, as long as its number."""
    most = max((number for _, number in numbers), default=0)
    height = _TOP + _ROW * max(1, len(numbers)) + 4
    parts = [_opened(title, height)]
    for row, (name, number) in enumerate(numbers):
        y, long = _TOP + row * _ROW, _long(number, most, _WIDTH - _NAME - 56)
        told = name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
        parts.append(f'<text x="{_NAME - 6}" y="{y + 14}" text-anchor="end">{escape(told)}</text>')
        parts.append(f'<rect class="bar" x="{_NAME}" y="{y + 3}" width="{long:.1f}" height="14"/>')
        parts.append(f'<text x="{_NAME + long + 5:.1f}" y="{y + 14}">{number:,}</text>')
    return "".join([*parts, *_nothing(numbers), "</svg>"])


def columns(title: str, numbers: Sequence[tuple[str, int]]) -> str:
    """A column for each name, from left to right, as high as its number; the first and the last name are told."""
    most = max((number for _, number in numbers), default=0)
    wide = (_WIDTH - 8) / max(1, len(numbers))
    parts = [_opened(title, _HEIGHT), f'<path class="line" d="M4 {_FLOOR}H{_WIDTH - 4}M4 {_TOP + 14}H{_WIDTH - 4}"/>']
    for place, (name, number) in enumerate(numbers):
        high = _long(number, most, _FLOOR - _TOP - 14)
        parts.append(
            f'<rect class="bar" x="{4 + place * wide + wide * 0.1:.1f}" y="{_FLOOR - high:.1f}"'
            f' width="{wide * 0.8:.1f}" height="{high:.1f}"><title>{escape(name)}: {number:,}</title></rect>'
        )
    if numbers:
        parts.append(f'<text x="{_WIDTH - 4}" y="{_TOP + 10}" text-anchor="end">at most {most:,}</text>')
        parts.append(f'<text x="4" y="{_FLOOR + 18}">{escape(numbers[0][0])}</text>')
    if len(numbers) > 1:
        parts.append(f'<text x="{_WIDTH - 4}" y="{_FLOOR + 18}" text-anchor="end">{escape(numbers[-1][0])}</text>')
    return "".join([*parts, *_nothing(numbers), "</svg>"])


def _opened(title: str, height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img"><title>{escape(title)}'
        f'</title><text class="title" x="4" y="15">{escape(title)}</text>'
    )


def _long(number: int, most: int, room: int) -> float:
    return room * number / most if most else 0


def _nothing(numbers: Sequence[object]) -> list[str]:
    return [] if numbers else [f'<text x="4" y="{_TOP + 14}">none</text>']
