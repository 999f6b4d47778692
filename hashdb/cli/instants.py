"""Times on the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click

from hashdb.domain.instants import parse_instant


class Instant(click.ParamType[datetime]):
    """An RFC 3339 time, or `now`."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """The instant; a usage error where there is none."""
        if isinstance(value, datetime):
            return value
        try:
            return datetime.now(UTC) if value == "now" else parse_instant(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
