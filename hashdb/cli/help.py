"""Classes of commands and options whose help has examples, and lists the values of options with their meanings."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast, runtime_checkable

import click
from click.shell_completion import CompletionItem

from hashdb.cli.options import Text, join_ids
from hashdb.domain.meanings import explain_all
from hashdb.domain.signals import OF_PICTURES
from hashdb.domain.spelling import nearest


@runtime_checkable
class _ExplainedType(Protocol):
    """A type of a parameter with a fixed list of values, which the help explains."""

    meanings: Mapping[str, str]
    """The meaning of each value."""
    heading: str
    """The heading of the list; `{}` stands for the name of the parameter."""


class Choice(click.Choice[str]):
    """The type of a parameter that takes one of the values in `meanings`.

    The help lists their meanings. An error about another value suggests the most similar one.
    """

    heading = "Values of {}"

    def __init__(self, meanings: Mapping[str, str]) -> None:
        super().__init__(list(meanings))
        self.meanings = meanings

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        suggestion = nearest(str(value), self.choices)
        message = super().get_invalid_choice_message(value, ctx)
        return f"{message} Did you mean {suggestion!r}?" if suggestion else message

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return _complete(self.meanings, incomplete)


class Code(Text):
    """The type of a parameter that takes a code of the service's vocabulary, like a label.

    The help lists the codes of the default vocabulary. The command accepts any text: the service, which may have
    another vocabulary, checks the code.
    """

    heading = "Values of {} in the default vocabulary"

    def __init__(self, meanings: Mapping[str, str]) -> None:
        self.meanings = meanings

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return _complete(self.meanings, incomplete)


class Command(click.Command):
    """A command whose help has examples after its description, and the meanings of values after the options."""

    def __init__(self, *args: Any, examples: Iterable[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)
        for parameter in self.params:
            if isinstance(parameter.type, click.IntRange | click.FloatRange):
                # Errors contain this name: "'many' is not a valid whole number".
                parameter.type.name = "whole number" if isinstance(parameter.type, click.IntRange) else "number"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # An id may be typed in several words, like `contribution 17`.
        return super().parse_args(ctx, join_ids(self, args))

    def get_short_help_str(self, limit: int = 45) -> str:
        # The whole first sentence: the list of a group's commands wraps a long line, and click would cut it.
        return super().get_short_help_str(sys.maxsize)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_help_text(ctx, formatter)
        with formatter.section("Examples" if len(self.examples) > 1 else "Example"):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        for heading, meanings in explained_values(self):
            with formatter.section(heading):
                formatter.write_dl(list(meanings.items()))


class Group(Command, click.Group):
    """A group of commands, which are of the class `Command`; the help of the group has examples, too."""

    command_class = Command


def _complete(meanings: Mapping[str, str], incomplete: str) -> list[CompletionItem]:
    """The values that begin with `incomplete`, for a shell to complete. Shells other than bash show their meanings."""
    # `explain_all` joins a meaning and its example in this way; a shell has room for the meaning alone.
    return [
        CompletionItem(value, help=meaning.partition("; for example, ")[0])
        for value, meaning in meanings.items()
        if value.startswith(incomplete)
    ]


def explained_values(command: click.Command) -> list[tuple[str, Mapping[str, str]]]:
    """A heading and the meanings by value, for each parameter of a command whose values are explained."""
    sections: list[tuple[str, Mapping[str, str]]] = []
    for parameter in command.params:
        kind = cast(object, parameter.type)
        if isinstance(kind, _ExplainedType):
            # The name of an option, or of an argument in capitals, as in the line of usage.
            name = parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.human_readable_name
            sections.append((kind.heading.format(name), kind.meanings))
    return sections


# The meanings of codes, for `Choice` and `Code`.
SCOPES, PROFILES = explain_all("scope"), explain_all("profile")
ALGORITHMS = {code: meaning for code, meaning in explain_all("algorithm").items() if code in OF_PICTURES}
LABELS, TCO_GROUNDS, CONTEXTS = explain_all("behaviour"), explain_all("tco_ground"), explain_all("context")
BASES, REASONS = explain_all("basis"), explain_all("reason")
TIERS = explain_all("tier")
