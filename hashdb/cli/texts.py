"""Texts on the command line."""

from __future__ import annotations

from typing import Any

import click


class Text(click.ParamType[str]):
    """A text in UTF-8: nothing else can be stored, or sent."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text; a usage error where its bytes are none."""
        text = str(value)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            self.fail("takes a text in UTF-8", param, ctx)
        return text


TEXT = Text()
