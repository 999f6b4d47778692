"""Policies of C2SP (c2sp.org/tlog-policy): the known logs and witnesses, and which witnesses must have cosigned.

Organisations that sign the active set are listed in a policy of the same form, as witnesses.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from hashdb.domain.ledger.checkpoints import Checkpoint, read_checkpoint
from hashdb.domain.ledger.cosignatures import SetRoot, WitnessKey, cosigners
from hashdb.domain.ledger.notes import Verifier, read_note
from hashdb.errors import BadNote, BadPolicy, NotWitnessed, RootNotSigned

_NO_QUORUM = "none"
"""The name of the quorum that needs no witness."""
_NUMBER = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)
_MAX_CHARACTERS = 1_000_000
"""The most characters of a policy."""


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness of a policy: its name in the policy, its key, and the URL at which it cosigns, if the policy has it."""

    name: str
    key: WitnessKey
    url: str | None


@dataclass(frozen=True, slots=True)
class Group:
    """A group, which counts as having cosigned if at least `required` of its members (witnesses or groups) have."""

    required: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Known logs and witnesses, groups by name, and the quorum: the name of a witness or a group, or `none`."""

    logs: tuple[Verifier, ...]
    witnesses: tuple[Witness, ...]
    groups: Mapping[str, Group]
    quorum: str

    @classmethod
    def parse(cls, text: str, quorum: str | None = None) -> Policy:
        """Read the text of a policy. `quorum` applies if it has no quorum line. Raises BadPolicy with the line."""
        return _PolicyReader().read(text, quorum)

    @property
    def keys(self) -> tuple[WitnessKey, ...]:
        """The keys of the witnesses."""
        return tuple(witness.key for witness in self.witnesses)

    @property
    def witnesses_with_url(self) -> tuple[Witness, ...]:
        """The witnesses that the service can ask for cosignatures."""
        return tuple(witness for witness in self.witnesses if witness.url is not None)

    @property
    def min_witnesses(self) -> int:
        """The smallest number of witnesses that can make the quorum."""
        return self._min_witnesses(self.quorum)

    def has_quorum(self, keys: Collection[WitnessKey]) -> bool:
        """Whether the witnesses with these keys make the quorum."""
        names = {witness.name for witness in self.witnesses if witness.key in keys}
        return self._is_satisfied(self.quorum, names)

    def check(self, note: str, logs: Collection[Verifier] = ()) -> Cosigned:
        """Verify a note: a log signed it, and the quorum cosigned it. Return its checkpoint and its cosigners.

        The log must be one of the policy, or one of `logs` if the policy has none. Raises BadNote, NotWitnessed.
        """
        checkpoint, _ = read_checkpoint(note, self.logs or logs)
        cosigned_at = cosigners(note, self.keys)
        if not self.has_quorum(cosigned_at):
            raise NotWitnessed(len(cosigned_at), len(self.witnesses), self.min_witnesses)
        return Cosigned(checkpoint, cosigned_at)

    def check_root(self, note: str, logs: Collection[Verifier] = ()) -> SetRoot:
        """Verify a note: a log signed it, and the quorum of organisations too. Return its root of the active set.

        `logs` are as in `check`. Raises BadNote, RootNotSigned.
        """
        body, verifier = read_note(note, self.logs or logs)
        root = SetRoot.parse(body)
        if root.origin != verifier.name:
            raise BadNote("the root of the set and its signature name different logs")
        cosigned_at = cosigners(note, self.keys)
        if not self.has_quorum(cosigned_at):
            raise RootNotSigned(root.seq, len(cosigned_at), len(self.witnesses), self.min_witnesses)
        return root

    def _is_satisfied(self, name: str, names: Collection[str]) -> bool:
        """Whether the witnesses with these names are enough for the witness or group with the name `name`."""
        if name == _NO_QUORUM:
            return True
        group = self.groups.get(name)
        if group is None:
            return name in names
        return sum(self._is_satisfied(member, names) for member in group.members) >= group.required

    def _min_witnesses(self, name: str) -> int:
        if name == _NO_QUORUM:
            return 0
        group = self.groups.get(name)
        return 1 if group is None else sum(sorted(map(self._min_witnesses, group.members))[: group.required])


class Cosigned(NamedTuple):
    """A checkpoint that the quorum of a policy cosigned, and its cosigners."""

    checkpoint: Checkpoint
    signed: Mapping[WitnessKey, int]
    """The time of each cosignature, in seconds since 1970, by the key of its cosigner."""


class _PolicyReader:
    """Reads the lines of a policy in order. A line may name only what earlier lines defined."""

    def __init__(self) -> None:
        self._logs: list[Verifier] = []
        self._witnesses: dict[str, Witness] = {}
        self._groups: dict[str, Group] = {}
        self._grouped: set[str] = set()
        self._quorum: str | None = None

    def read(self, text: str, quorum: str | None) -> Policy:
        if len(text) > _MAX_CHARACTERS:
            raise BadPolicy(0, f"has more than {_MAX_CHARACTERS:,} characters")
        for number, line in enumerate(text.split("\n"), 1):
            try:
                self._read_line(line)
            except (BadNote, ValueError) as error:
                raise BadPolicy(number, str(error)) from None
        if (quorum := self._quorum or quorum) is None:
            raise BadPolicy(0, "has no line `quorum NAME`")
        return Policy(tuple(self._logs), tuple(self._witnesses.values()), self._groups, quorum)

    def _read_line(self, line: str) -> None:
        if any((character < " " and character != "\t") or character == "\x7f" for character in line):
            raise ValueError("it has control characters")
        words = [word for word in re.split(r"[ \t]+", line) if word]
        if not words or words[0].startswith("#"):
            return
        readers = {
            "log": self._read_log,
            "witness": self._read_witness,
            "group": self._read_group,
            "quorum": self._read_quorum,
        }
        if words[0] not in readers:
            raise ValueError("a line must begin with log, witness, group, quorum or #")
        readers[words[0]](words[1:])

    def _read_log(self, words: list[str]) -> None:
        if len(words) not in (1, 2):
            raise ValueError("it must be `log VKEY` or `log VKEY URL`")
        log = Verifier.parse(words[0])
        if any(known.public == log.public for known in self._logs):
            raise ValueError("an earlier line has this key")
        self._logs.append(log)

    def _read_witness(self, words: list[str]) -> None:
        if len(words) not in (2, 3):
            raise ValueError("it must be `witness NAME VKEY` or `witness NAME VKEY URL`")
        self._require_new(words[0])
        key = WitnessKey.parse(words[1])
        if any(known.key.public == key.public for known in self._witnesses.values()):
            raise ValueError("an earlier line has this key")
        self._witnesses[words[0]] = Witness(words[0], key, words[2] if len(words) == 3 else None)

    def _read_group(self, words: list[str]) -> None:
        if len(words) < 3:
            raise ValueError("it must be `group NAME all|any|NUMBER NAME ...`")
        name, rule, *members = words
        self._require_new(name)
        if rule not in ("all", "any") and not _NUMBER.fullmatch(rule):
            raise ValueError("the rule of a group must be all, any or a number from 1")
        required = {"all": len(members), "any": 1}.get(rule) or int(rule)
        if required > len(members):
            raise ValueError(f"it requires {required} of {len(members)} members")
        for member in members:
            if member not in self._witnesses and member not in self._groups:
                raise ValueError(f"no earlier line defines {member}")
            if member in self._grouped:
                raise ValueError(f"{member} is already in a group")
            self._grouped.add(member)
        self._groups[name] = Group(required, tuple(members))

    def _read_quorum(self, words: list[str]) -> None:
        if len(words) != 1 or self._quorum is not None:
            raise ValueError("there must be one line `quorum NAME`")
        if words[0] != _NO_QUORUM and words[0] not in self._witnesses and words[0] not in self._groups:
            raise ValueError(f"no earlier line defines {words[0]}")
        self._quorum = words[0]

    def _require_new(self, name: str) -> None:
        if name == _NO_QUORUM or name in self._witnesses or name in self._groups:
            raise ValueError(f"the name {name} is already in use")
