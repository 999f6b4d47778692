"""Types of command-line parameters: text, time, radius."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from hashdb.domain.signals import Algorithm
from hashdb.domain.times import parse_instant


class Text(click.ParamType[str]):
    """A text in UTF-8: others can be neither stored nor sent."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text; a usage error if its bytes are not UTF-8."""
        text = str(value)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            self.fail("the text is not valid UTF-8", param, ctx)
        return text


TEXT = Text()


class Instant(click.ParamType[datetime]):
    """An RFC 3339 time, or `now`."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The instant; a usage error if the text is not a time."""
        if isinstance(value, datetime):
            return value
        try:
            return datetime.now(UTC) if value == "now" else parse_instant(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Radius(click.ParamType[tuple[Algorithm, int]]):
    """`algorithm=bits`."""

    name = "radius"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Algorithm, int]:
        """The algorithm and the bits; a usage error if the text is not such a pair."""
        if isinstance(value, tuple):
            return value
        name, _, bits = value.partition("=")
        try:
            return Algorithm(name), int(bits)
        except ValueError:
            self.fail(f"{value!r} is not a radius: write it as algorithm=bits, like pdq=20", param, ctx)
