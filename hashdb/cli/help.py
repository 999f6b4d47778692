"""Help of the commands: the examples of a command, and the values of an option with their meanings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast, runtime_checkable

import click

from hashdb.cli.options import Text


@runtime_checkable
class _Meaningful(Protocol):
    """A type of parameters whose values have a meaning each."""

    meanings: Mapping[str, str]
    heading: str


class Choice(click.Choice[str]):
    """One of these values. The help lists their meanings, and an error suggests the nearest value."""

    heading = "Values of {}"

    def __init__(self, meanings: Mapping[str, str]) -> None:
        super().__init__(list(meanings))
        self.meanings = meanings

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        from difflib import get_close_matches

        nearest = get_close_matches(str(value), self.choices, 1)
        message = super().get_invalid_choice_message(value, ctx)
        return f"{message} Did you mean {nearest[0]!r}?" if nearest else message


class Code(Text):
    """A code of the service's vocabulary. The help lists the codes of the default vocabulary; the service checks it."""

    heading = "Values of {} in the default vocabulary"

    def __init__(self, meanings: Mapping[str, str]) -> None:
        self.meanings = meanings


class Command(click.Command):
    """A command whose help has examples after its description, and the meanings of values after the options."""

    def __init__(self, *args: Any, examples: Iterable[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = tuple(examples)

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_help_text(ctx, formatter)
        with formatter.section("Examples" if len(self.examples) > 1 else "Example"):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        for heading, meanings in values(self):
            with formatter.section(heading):
                formatter.write_dl(list(meanings.items()))


class Group(Command, click.Group):
    """A group of such commands."""

    command_class = Command


def values(command: click.Command) -> list[tuple[str, Mapping[str, str]]]:
    """For each parameter whose values have meanings: a heading, and the meanings by value."""
    return [
        (kind.heading.format(parameter.opts[0] if parameter.opts[0].startswith("-") else parameter.human_readable_name),
         kind.meanings)
        for parameter in command.params
        if isinstance(kind := cast(object, parameter.type), _Meaningful)
    ]  # fmt: skip


SCOPES = {
    "contribute": "contribute, change and withdraw own contributions",
    "match": "match, and confirm or dispute contributions of others",
    "feed": "read all active contributions, for a local copy",
    "audit": "read everything: all contributions, the audit log, reports",
    "review": "decide cases",
    "admin": "manage members, keys, incidents and the benign list; includes review and audit",
}
ALGORITHMS = {
    "pdq": "256 bits; on by default",
    "phash256": "pHash with 256 bits; on by default",
    "phash": "pHash with 64 bits; on by default",
    "dhash": "difference hash, 64 bits",
    "whash": "wavelet hash, 64 bits",
    "ahash": "average hash, 64 bits",
}
PROFILES = {
    "plain": "the picture itself",
    "balanced": "also parts of it, so that most cropped and tilted copies match",
    "thorough": "also more parts: finds more copies, takes more of the index",
}
LABELS = {
    "imminent_threat": "announces an attack that may still happen",
    "graphic_violence": "shows killing, torture or mutilation",
    "glorification": "praises an attack, an attacker or a group",
    "incitement": "calls for violence",
    "recruitment": "calls to join or to support a group",
    "instruction": "teaches how to attack or to make weapons",
    "material_support": "asks for money or other support",
    "perpetrator_produced": "made by an attacker, such as a live stream",
    "branded_propaganda": "carries the brand of a group or its media outlet",
    "manifesto": "declaration of an attacker or a group",
}
BASES = {
    "terms": "the platform's terms of service",
    "removal_order": "a removal order of an authority",
    "referral": "a referral of an authority",
    "trusted_flagger": "a notice of a trusted flagger",
    "user_report": "a report of a user",
    "own_detection": "found by the platform itself",
}
CONTEXTS = {
    "edsa_copies_known": "copies in education, documentary, science or art exist",
    "contains_victim": "a victim can be recognised",
    "synthetic": "generated or altered by software",
}
REASONS = {
    "not_terrorist_content": "the content is not terrorist content",
    "edsa_context": "used in education, documentary, science or art",
    "wrong_label": "the content has another label",
    "false_match": "it matches different content",
    "low_quality": "too little detail to recognise the content",
    "removal_reversed": "the removal was reversed, for example on appeal",
    "other": "another reason; explain it in the note",
}
GROUNDS = {
    "2.7.a": "incites to a terrorist offence",
    "2.7.b": "solicits a person to commit or contribute to one",
    "2.7.c": "solicits a person to join a terrorist group",
    "2.7.d": "instructs on making or using weapons or other methods",
    "2.7.e": "threatens to commit a terrorist offence",
}
