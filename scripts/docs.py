"""Generate parts of docs/ from the code: settings, commands, routes, examples, errors, algorithms, labels."""

from __future__ import annotations

import dataclasses
import inspect
import json
import re
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click
from annotated_types import Ge, Gt, Le
from flask import Flask
from pydantic.fields import FieldInfo

from hashdb import errors
from hashdb.cli import hashdb as command_line
from hashdb.cli.help import Command, explained_values
from hashdb.domain.accounts.members import COMMAND_LINE, KeyDraft, MemberDraft, MemberKind
from hashdb.domain.meanings import EXAMPLES, MEANINGS
from hashdb.domain.signals import Algorithm
from hashdb.domain.vocabulary import Vocabulary
from hashdb.evaluation.alterations import ALTERATIONS, Family
from hashdb.evaluation.copies import COPIES, Form
from hashdb.evaluation.passages import COPIES as TEXT_COPIES
from hashdb.evaluation.passages import TextForm
from hashdb.hashing.texts import LOOKALIKES
from hashdb.http_server.problems import STATUS, status_of
from hashdb.service import open_hashdb
from hashdb.service.accounts import members
from hashdb.service.schedule import BACKGROUND_TASKS
from hashdb.settings import DEFAULT_LABELS, Settings
from hashdb.web import create_app
from hashdb.web.sharing import MOUNTS
from hashdb.wire.problems import PREFIX
from scripts import examples, sizing

ROOT = Path(__file__).resolve().parent.parent
_BLOCK = re.compile(r"(<!-- made by scripts/docs: ([a-z-]+) -->\n).*?(<!-- end -->\n)", re.DOTALL)


def table(heads: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


# Settings


def settings(mine: bool) -> str:
    """The settings of a member (`mine`), or those of the service."""
    chosen = {name: field for name, field in Settings.model_fields.items() if (field.description or "")[:1] == "("}
    if not mine:
        chosen = {name: field for name, field in Settings.model_fields.items() if name not in chosen}
    rows = (
        (f"`HASHDB_{name.upper()}`", _default(field), _takes(field), (field.description or "").split(") ", mine)[-1])
        for name, field in chosen.items()
    )
    return table(["setting", "default", "takes", "meaning"], rows)


def _default(field: FieldInfo) -> str:
    value = field.default
    if value is None or value in ({}, (), frozenset()):
        return "none"
    if value == DEFAULT_LABELS:
        return "the one that comes with hashdb"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{','.join(map(str, value)) if isinstance(value, tuple) else value}`"


def _takes(field: FieldInfo) -> str:
    kinds = {bool: "`true` or `false`", int: "a whole number", float: "a number", Path: "a path"}
    bounds = [
        f"{word} {getattr(bound, name)}"
        for bound in field.metadata
        for kind, name, word in ((Ge, "ge", "at least"), (Gt, "gt", "above"), (Le, "le", "at most"))
        if isinstance(bound, kind)
    ]
    kind = next((kind for kind in kinds if field.annotation in (kind, kind | None)), str)
    return ", ".join([kinds.get(kind, "a text"), *bounds])


# The command line


def commands() -> str:
    """Every command with its arguments and options."""
    return "\n".join(_command(names, command) for names, command in walk())


def walk(
    names: tuple[str, ...] = ("hashdb",), command: click.Command = command_line
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command that is not a group, with the words that call it."""
    if not isinstance(command, click.Group):
        yield names, command
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        subcommand = command.get_command(context, name)
        assert subcommand is not None
        yield from walk((*names, name), subcommand)


def _command(names: tuple[str, ...], command: click.Command) -> str:
    words = " ".join(names)
    context = click.Context(command, info_name=words)
    usage = " ".join(command.collect_usage_pieces(context))
    text = f"### {words}\n\n{inspect.cleandoc(command.help or '')}\n\n```text\n{words} {usage}\n```\n"
    if isinstance(command, Command):
        text += "\n```bash\n" + "\n".join(command.examples) + "\n```\n"
    options = [param for param in command.params if isinstance(param, click.Option)]
    if options:
        text += "\n" + table(["option", "takes", "meaning"], (_option(option, context) for option in options))
    for heading, meanings in explained_values(command):
        text += "\n" + table([heading, "meaning"], ((f"`{value}`", meaning) for value, meaning in meanings.items()))
    return text


def _option(option: click.Option, context: click.Context) -> tuple[str, str, str]:
    takes = "" if option.is_flag else _values(option.type)
    needed = " Required." if option.required else ""
    default = option.get_default(context)
    preset = f" Default: `{default}`." if option.show_default and default is not None else ""
    return ", ".join(f"`{name}`" for name in option.opts), takes, f"{option.help or ''}{needed}{preset}".strip()


def _values(kind: click.ParamType[Any]) -> str:
    if isinstance(kind, click.Choice):
        return ", ".join(f"`{choice}`" for choice in kind.choices)
    if isinstance(kind, click.IntRange):
        return f"{kind.min} to {kind.max}" if kind.max is not None else f"{kind.min} or more"
    return {"time": "a time, or `now`", "radius": "`algorithm=bits`", "number": "a number"}.get(kind.name, kind.name)


# The API


def routes() -> str:
    """Every address: the scope that it needs, its statuses, and its summary."""
    with tempfile.TemporaryDirectory() as folder:
        configuration = Settings(home=Path(folder))
        db = open_hashdb(configuration.database, configuration.rules())
        app = create_app(db, configuration)
        member = members.add(db, COMMAND_LINE, MemberDraft("no scope at all", MemberKind.OPERATOR))
        secret = members.issue_key(db, COMMAND_LINE, member.id, KeyDraft(frozenset())).secret
        rows = list(_documented(app, secret)) + list(_undocumented(app))
        db.close()
    return table(["address", "scope", "answers", "refuses", "what it does"], iter(rows))


def _documented(app: Flask, secret: str) -> Iterator[tuple[str, ...]]:
    for path, operations in app.test_client().get("/openapi.json").get_json()["paths"].items():
        for method, operation in operations.items():
            statuses = sorted(operation["responses"])
            answers = ", ".join(status for status in statuses if status < "400")
            refuses = ", ".join(status for status in statuses if status >= "400")
            scope = _scope(app, method, path, secret)
            yield f"`{method.upper()} {path}`", scope, answers, refuses, operation["summary"].rstrip(".")


def _scope(app: Flask, method: str, path: str, secret: str) -> str:
    """The scope that the service asks for if a key has none."""
    address = re.sub(r"\{\w+\}", "1", path)
    client = app.test_client()
    if client.open(address, method=method.upper()).status_code != 401:
        return "no key"
    response = client.open(address, method=method.upper(), headers={"Authorization": f"Bearer {secret}"})
    missing = json.loads(response.data or "{}").get("scope", "")
    return " or ".join(f"`{scope}`" for scope in missing.split(" or ")) if missing else "any key"


def _undocumented(app: Flask) -> Iterator[tuple[str, ...]]:
    """The addresses for people, which are not in the OpenAPI document."""
    documented = app.test_client().get("/openapi.json").get_json()["paths"]
    for rule in sorted(app.url_map.iter_rules(), key=str):
        view = app.view_functions[rule.endpoint]
        hidden = rule.endpoint.startswith("console.") or str(rule).startswith(MOUNTS)
        if not rule.arguments and str(rule) not in documented and not hidden:
            summary = (view.__doc__ or "").splitlines()[0].rstrip(".")
            yield f"`GET {rule}`", "no key", "200", "", summary


def problems() -> str:
    """Every error that the service returns."""
    rows = (
        (str(status_of(kind)), f"`{PREFIX}{kind.slug}`", f"`{kind.__name__}`", _carries(kind), _meaning(kind))
        for kind in sorted(kinds(), key=status_of)
        if not is_raised_locally(kind) and kind not in (errors.NotAllowed, errors.Conflict, errors.UnsupportedContent)
    )
    return table(["status", "`type`", "raised by the client as", "carries", "when"], rows)


def refusals() -> str:
    """Every error that only the client or the command line raises."""
    abstract = (errors.HashDBError, errors.CannotStart)
    rows = (
        (f"`{kind.__name__}`", _carries(kind), _meaning(kind))
        for kind in kinds()
        if is_raised_locally(kind) and kind not in abstract
    )
    return table(["error", "carries", "when"], rows)


def is_raised_locally(kind: type[errors.HashDBError]) -> bool:
    """Whether the client or the command line raises an error, and the service never returns it."""
    return status_of(kind) == 500 or kind is errors.KeyRefused


def kinds(kind: type[errors.HashDBError] = errors.HashDBError) -> list[type[errors.HashDBError]]:
    """An error class and all of its subclasses."""
    return [kind, *(each for subclass in kind.__subclasses__() for each in kinds(subclass))]


def _carries(kind: type[errors.HashDBError]) -> str:
    names = ["errors" if field.name == "faults" else field.name for field in dataclasses.fields(kind)]
    return ", ".join(f"`{name}`" for name in names)


def _meaning(kind: type[errors.HashDBError]) -> str:
    """The text about a class in the tree of the docstring of errors.py, or the message of an example."""
    if match := re.search(rf"── {kind.__name__} +(.+)", errors.__doc__ or ""):
        return match[1].removeprefix("(client) ")
    example = kind(**{field.name: _example(field) for field in dataclasses.fields(kind)})
    return f"“{example}”".replace("`", "")


def _example(field: dataclasses.Field[Any]) -> object:
    return 1000 if field.type == "int" else f"({field.name})"


# Words


def algorithms() -> str:
    """Every algorithm, and whether it is on by default."""
    rows = ((f"`{each}`", str(each.bits), str(each.radius), _set_bits(each), _enabled(each)) for each in Algorithm)
    return table(["algorithm", "bits", "default radius", "set bits accepted", "on by default"], rows)


def _set_bits(algorithm: Algorithm) -> str:
    return f"{algorithm.set_bits.start} to {algorithm.set_bits.stop - 1}"


def _enabled(algorithm: Algorithm) -> str:
    if algorithm.is_digest or algorithm.of_text:
        return "always"
    return "yes" if algorithm in Settings.model_fields["algorithms"].default else "no"


def labels() -> str:
    """The codes of the default vocabulary, with their meanings."""
    return _codes(Vocabulary.kinds())


def codes() -> str:
    """All other codes, without the actions of the log, which have a separate table."""
    return _codes([kind for kind in MEANINGS if kind not in (*Vocabulary.kinds(), "action")])


def _codes(kinds: Iterable[str]) -> str:
    rows = (
        (f"`{kind}`", f"`{code}`", meaning, EXAMPLES[kind][code])
        for kind in kinds
        for code, meaning in MEANINGS[kind].items()
    )
    return table(["kind", "code", "meaning", "example"], rows)


def alterations() -> str:
    """Every alteration that an evaluation makes, by family."""
    rows = (
        (str(family), " · ".join(each.name for each in ALTERATIONS.values() if each.family is family))
        for family in Family
    )
    return table(["family", "alterations"], rows)


def copies() -> str:
    """The copies of videos that `hashdb evaluate --videos` measures."""
    rows = ((str(form), " · ".join(copy.name for copy in COPIES if copy.form is form)) for form in Form)
    return table(["form", "copies"], rows)


def text_copies() -> str:
    """The copies of texts that `hashdb evaluate --texts` measures."""
    rows = ((str(form), " · ".join(copy.name for copy in TEXT_COPIES if copy.form is form)) for form in TextForm)
    return table(["form", "copies"], rows)


def lookalikes() -> str:
    """The characters that `simhash256` replaces by another character."""
    rows = (
        (f"`{to} U+{ord(to):04X}`", " ".join(f"`U+{ord(character):04X}`" for character in characters))
        for to, characters in LOOKALIKES.items()
    )
    return table(["becomes", "characters"], rows)


def background() -> str:
    """Every background task."""
    rows = (
        (f"`{task.task}`", task.does, task.when, task.place, f"`{task.lane}`" if task.lane else "its own")
        for task in BACKGROUND_TASKS
    )
    return table(["task", "what it does", "period or trigger", "runs in", "thread"], rows)


BLOCKS: dict[str, Callable[[], str]] = {
    "settings-service": lambda: settings(mine=False),
    "settings-member": lambda: settings(mine=True),
    "background": background,
    "commands": commands,
    "routes": routes,
    "problems": problems,
    "refusals": refusals,
    "algorithms": algorithms,
    "labels": labels,
    "codes": codes,
    "alterations": alterations,
    "copies": copies,
    "text-copies": text_copies,
    "lookalikes": lookalikes,
    "sizing-figures": sizing.figures,
    "sizing-assumptions": sizing.assumptions,
    "sizing-machines": sizing.machines,
    **{f"examples-{name}": partial(examples.section, name) for name in examples.SECTIONS},
}


def regenerate(text: str) -> str:
    """A page with every generated block up to date."""
    return _BLOCK.sub(lambda block: f"{block[1]}\n{BLOCKS[block[2]]()}\n{block[3]}", text)


def main(arguments: Sequence[str]) -> int:
    """Write the pages; with --check, only print the outdated pages."""
    assert set(STATUS) <= set(kinds())
    stale = []
    for page in sorted(ROOT.glob("docs/**/*.md")):
        before = page.read_text("utf-8")
        after = regenerate(before)
        if before != after:
            stale.append(page)
            if "--check" not in arguments:
                page.write_text(after, "utf-8")
    for page in stale:
        print(page.relative_to(ROOT))
    return 1 if stale and "--check" in arguments else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
