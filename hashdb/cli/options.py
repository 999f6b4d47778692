"""Parameters of the command line: types (text, time, radius, id), and options for files of policies and keys."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hashdb.domain.signals import OF_PICTURES, Algorithm
from hashdb.domain.spelling import did_you_mean, read_id
from hashdb.domain.times import parse_instant
from hashdb.errors import BadNote, BadSetting, os_reason

if TYPE_CHECKING:
    from hashdb.domain.ledger.cosignatures import Cosigner
    from hashdb.domain.ledger.policies import Policy
    from hashdb.member_settings import MemberSettings


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


class _Path(click.Path):
    """A path. An empty one, like that of a variable without a value, would be the current folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path; a usage error if it is empty."""
        if not value:
            self.fail("the path is empty", param, ctx)
        return super().convert(value, param, ctx)


# Whatever reads the path says if it cannot be read.
PATH = _Path(path_type=Path, readable=False)
FILE = _Path(dir_okay=False, path_type=Path)
FOLDER = _Path(file_okay=False, path_type=Path)


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
            self.fail(f"{error}, or `now`", param, ctx)


class Radius(click.ParamType[tuple[Algorithm, int]]):
    """`algorithm=bits`."""

    name = "radius"

    def __init__(self, algorithms: Sequence[Algorithm] = OF_PICTURES) -> None:
        self.algorithms = algorithms

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Algorithm, int]:
        """The algorithm and the bits; a usage error if the text is not such a pair."""
        if isinstance(value, tuple):
            return value
        name, _, bits = value.partition("=")
        known = tuple(map(str, self.algorithms))
        if name not in known or not (bits.isascii() and bits.isdecimal() and len(bits) < 5):
            meant = "" if name in known else did_you_mean(name, known)
            self.fail(f"{value!r} is not a radius: write it as algorithm=bits, like pdq=20{meant}", param, ctx)
        return Algorithm(name), int(bits)


class Id(click.ParamType[int]):
    """The id of a contribution, a case or another kind of thing, in any form in which it is shown."""

    name = "id"

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number; a usage error if the text is no id, or the id of something else."""
        from hashdb.wire import LARGEST_ID

        if isinstance(value, int):
            return value
        if value.strip().startswith("hdb_"):
            self.fail("this is the secret of a key, not an id: ids are numbers", param, ctx)
        kind, number = read_id(value) or (None, 0)
        if not 0 < number <= LARGEST_ID:
            self.fail(f"{value!r} is not an id: write it like 17 or {f'{self.kind} 17'!r}", param, ctx)
        if kind not in (None, self.kind):
            self.fail(f"{value!r} is the id of another kind: give the id of the {self.kind}", param, ctx)
        return number


class NameOrId(Text):
    """The name or the id of a member or a user."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The text; a usage error, which does not show it, if it is the secret of a key."""
        if str(value).strip().startswith("hdb_"):
            self.fail("this is the secret of a key: give a name or an id", param, ctx)
        return super().convert(value, param, ctx)


NAME_OR_ID = NameOrId()


def join_ids(command: click.Command, words: list[str]) -> list[str]:
    """The words of a command line, where an id of several words, like `contribution 17`, becomes one."""
    if not any(isinstance(param.type, Id | NameOrId) for param in command.params):
        return words
    types = {
        name: param.type for param in command.params if not getattr(param, "is_flag", False) for name in param.opts
    }
    joined: list[str] = []
    position = 0
    while position < len(words):
        option = types.get(joined[-1]) if joined and joined[-1].startswith("-") else None
        is_other = option is not None and not isinstance(option, Id | NameOrId)
        count = 1 if is_other else _count_of_id(words[position:])
        joined.append(" ".join(words[position : position + count]))
        position += count
    return joined


def _count_of_id(words: list[str]) -> int:
    """How many of the first words are one id with its kind, like `contribution 17`; 1 if they are none."""
    for count in (3, 2):
        id = read_id(" ".join(words[:count])) if len(words) >= count and words[count - 1] else None
        if id is not None and id[0] is not None:
            return count
    return 1


_POLICY, _WITNESSES = "--policy", "--witnesses"
policy_option = click.option(
    _POLICY,
    "policy_file",
    type=FILE,
    help="File of a policy of organisations, which must have signed the active set.  [default: HASHDB_QUORUM]",
)
witnesses_option = click.option(
    _WITNESSES,
    "witnesses_file",
    type=FILE,
    help="File of a policy of witnesses, which must have cosigned the log.  [default: HASHDB_WITNESSES]",
)


def organisation_policy(file: Path | None, settings: MemberSettings) -> Policy | None:
    """The policy of the option --policy, or that of HASHDB_QUORUM; None without both. Raises BadSetting."""
    from hashdb.member_settings import read_policy

    return settings.organisation_policy() if file is None else read_policy(_POLICY, file)


def witness_policy(file: Path | None, settings: MemberSettings) -> Policy | None:
    """The policy of the option --witnesses, or that of HASHDB_WITNESSES; None without both. Raises BadSetting."""
    from hashdb.member_settings import read_policy

    return settings.witness_policy() if file is None else read_policy(_WITNESSES, file)


def read_cosigner(setting: str, file: Path) -> Cosigner:
    """The cosigner of a key file that nobody else can read. Raises BadSetting."""
    from hashdb.domain.ledger.cosignatures import Cosigner

    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        if mode & 0o077:
            raise BadSetting(setting, f"others can read {file} (mode {mode:04o}): run chmod 600 {file}")
        return Cosigner.from_file(file.read_bytes())
    except OSError as error:
        raise BadSetting(setting, f"{file} cannot be read: {os_reason(error)}") from None
    except BadNote as error:
        raise BadSetting(setting, f"{file}: {error}") from None
