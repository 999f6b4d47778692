"""A radius on the command line."""

from __future__ import annotations

from typing import Any

import click

from hashdb.domain.signals import Algorithm


class Radius(click.ParamType[tuple[Algorithm, int]]):
    """`algorithm=bits`."""

    name = "radius"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Algorithm, int]:
        """The algorithm and the bits; a usage error where there are none."""
        if isinstance(value, tuple):
            return value
        name, _, bits = value.partition("=")
        try:
            return Algorithm(name), int(bits)
        except ValueError:
            self.fail("write it as algorithm=bits, like pdq=20", param, ctx)
