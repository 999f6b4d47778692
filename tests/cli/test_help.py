"""The help of every command: its content and its examples. A command imports only the libraries that it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

import click
import pytest

import hashdb as hashdb_package
from hashdb.cli import hashdb
from hashdb.cli.contributions.rows import Format
from hashdb.cli.help import Choice, Command, explained_values
from hashdb.domain.accounts.members import MemberKind, Scope
from hashdb.domain.accounts.users import Role
from hashdb.domain.contributions import Media
from hashdb.domain.review.cases import CaseState, Decision, Stance
from hashdb.domain.sharing.webhooks import DeliveryOutcome, Topic
from hashdb.domain.signals import OF_PICTURES, Profile
from scripts.docs import walk
from tests.cli.conftest import Commands, parse

COMMANDS = dict(walk())
TEST_PICTURE = Path(hashdb_package.__file__).with_name("test.png")


def _imported(*arguments: str) -> set[str]:
    """The top-level packages that a command imports in a process of its own."""
    program = (
        "import sys; from hashdb.cli import hashdb; "
        f"hashdb.main({list(arguments)}, prog_name='hashdb', standalone_mode=False); "
        "print('\\n' + ' '.join({name.partition('.')[0] for name in sys.modules}))"
    )
    process = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    return set(process.stdout.splitlines()[-1].split())


def _groups(words: tuple[str, ...] = ("hashdb",), group: click.Group = hashdb) -> dict[tuple[str, ...], click.Group]:
    context = click.Context(group)
    inner = {(*words, name): group.get_command(context, name) for name in group.list_commands(context)}
    return {words: group} | {names: command for names, command in inner.items() if isinstance(command, click.Group)}


COMMANDS_AND_GROUPS = COMMANDS | _groups()


def test_the_list_of_commands_imports_only_click() -> None:
    imported = _imported("--help")

    assert "click" in imported
    assert not imported & {"numpy", "scipy", "imagehash", "flask", "sqlalchemy", "pydantic", "httpx", "rich"}


@pytest.mark.parametrize("words", [("match",), ("contribute",), ("case", "list"), ("sync",), ("audit", "check")])
def test_a_command_of_a_member_imports_no_part_of_the_service(words: tuple[str, ...]) -> None:
    imported = _imported(*words, "--help")

    assert "click" in imported
    assert not imported & {"scipy", "flask", "sqlalchemy"}


SERVICE_MODULES = {
    "cryptography",
    "flask",
    "hashdb.domain.accounts.users",
    "hashdb.domain.ledger.checkpoints",
    "hashdb.domain.ledger.notes",
    "hashdb.service",
    "hashdb.settings",
    "hashdb.wire.contributions",
    "hashdb.wire.review",
    "hashdb.wire.sharing.feed",
    "hashdb.wire.users",
    "imagehash",
    "pydantic_settings",
    "rich",
    "scipy",
    "sqlalchemy",
}
"""Modules that `hashdb match` never imports."""


@pytest.mark.parametrize(
    ("options", "used", "unused"),
    [
        ((), {"hashdb.wire.matching", "httpx", "numpy"}, {"hashdb.local", "hashdb.domain.review.cases", "sqlite3"}),
        (("--local",), {"hashdb.local", "numpy"}, {"hashdb.client", "hashdb.wire.matching", "httpx", "ssl"}),
    ],
)
def test_a_match_imports_only_what_it_uses(
    member: Commands, tmp_path: Path, options: tuple[str, ...], used: set[str], unused: set[str]
) -> None:
    environment = os.environ | member.environment | {"HASHDB_HOME": str(tmp_path / "own")}
    if options:
        assert member("sync", HASHDB_HOME=environment["HASHDB_HOME"]).returncode == 0
    program = (
        "import atexit, sys; from hashdb.cli import main; "
        "atexit.register(lambda: print(*sys.modules)); sys.argv = ['hashdb', 'match', *sys.argv[1:]]; main()"
    )
    process = subprocess.run(
        [sys.executable, "-c", program, *options, TEST_PICTURE],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    answer, imported = process.stdout.splitlines()

    assert "review (1 member)" in answer
    modules = set(imported.split())
    assert used <= modules
    assert not modules & (SERVICE_MODULES | unused)


def test_the_list_shows_the_first_sentence_of_each_command(run: Commands) -> None:
    listed = run("--help").stdout
    context = click.Context(hashdb)
    for name in hashdb.list_commands(context):
        command = hashdb.get_command(context, name)
        assert command is not None and command.help is not None
        assert f"  {name} " in listed
        assert command.help.split("\n")[0] == hashdb.commands[name].short_help


def test_the_list_of_a_group_shows_whole_sentences() -> None:
    context = click.Context(hashdb)
    listed = [hashdb.get_command(context, name) for name in hashdb.list_commands(context)]
    groups = [group for group in listed if isinstance(group, click.Group)]
    shown = [command.get_short_help_str() for group in groups for command in group.commands.values()]
    assert len(shown) > 40
    assert not [text for text in shown if text.endswith("...")]


def test_the_command_help_prints_the_same_as_the_option(run: Commands) -> None:
    assert run("help", "key", "add").stdout == run("key", "add", "--help").stdout
    assert run("help").stdout == run("--help").stdout


def test_the_error_for_an_unknown_word_suggests_the_nearest_one(run: Commands) -> None:
    for words, nearest in {
        ("mach", "upload.jpg"): "Did you mean 'match'?",
        ("key", "revok", "1"): "Did you mean 'revoke'?",
        ("match", "--transform-all", "x"): "Did you mean --transforms?",
        ("match", "--radius", "phsh=6", "x"): "did you mean phash?",
        ("member", "add", "A", "--kind", "plattform"): "Did you mean 'platform'?",
    }.items():
        result = run(*words)
        assert result.returncode == 2
        assert nearest.replace("'", "") in result.stderr.replace("'", "")


@pytest.mark.parametrize("words", COMMANDS_AND_GROUPS, ids=" ".join)
def test_every_help_has_an_example_and_the_meaning_of_every_value(run: Commands, words: tuple[str, ...]) -> None:
    command, help_text = COMMANDS_AND_GROUPS[words], run(*words[1:], "--help").stdout

    assert isinstance(command, Command)
    assert command.examples
    for example in command.examples:
        assert f"  {example}\n" in help_text
    for parameter in command.params:
        assert not isinstance(parameter.type, click.Choice) or isinstance(parameter.type, Choice)
    for _, meanings in explained_values(command):
        for value, meaning in meanings.items():
            assert f"  {value} " in help_text and meaning


@pytest.mark.parametrize("words", COMMANDS_AND_GROUPS, ids=" ".join)
def test_every_example_can_be_parsed(words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("photos", "films", "texts"):
        (tmp_path / folder).mkdir()
    for file in ("backup.tar", "eu.key"):
        (tmp_path / file).touch()
    monkeypatch.chdir(tmp_path)
    command = COMMANDS_AND_GROUPS[words]
    assert isinstance(command, Command)

    for example in command.examples:
        assert any(" ".join(words) in part for part in example.split(" | ")), example
        for part in example.split(" | "):
            assert parse(part).params


def test_an_invalid_example_is_detected() -> None:
    for line in ("hashdb withdraw", "hashdb match --nothing x", "hashdb nothing", "hashdb case decide 5 lost"):
        with pytest.raises(click.UsageError):
            parse(line)


@pytest.mark.parametrize(
    ("words", "parameter", "kind"),
    [
        (("member", "add"), "kind", MemberKind),
        (("member", "add"), "scopes", Scope),
        (("user", "add"), "role", Role),
        (("contribute",), "media", Media),
        (("contribute",), "profile", Profile),
        (("hash",), "names", OF_PICTURES),
        (("import",), "form", Format),
        (("case", "list"), "state", CaseState),
        (("case", "decide"), "decision", Decision),
        (("opinion",), "opinion", Stance),
        (("webhook", "add"), "topics", Topic),
        (("webhook", "deliveries"), "outcome", DeliveryOutcome),
    ],
)
def test_an_option_offers_every_value_of_its_kind(
    words: tuple[str, ...], parameter: str, kind: Iterable[StrEnum]
) -> None:
    (option,) = (option for option in COMMANDS["hashdb", *words].params if option.name == parameter)
    assert isinstance(option.type, Choice)
    assert set(option.type.choices) == set(map(str, kind))
