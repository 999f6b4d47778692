"""Policies of C2SP (c2sp.org/tlog-policy): the known logs and witnesses, and how many of these must have signed."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from hashdb.domain.ledger.checkpoints import Checkpoint, Verifier, read_checkpoint, read_note
from hashdb.domain.ledger.cosignatures import SetRoot, WitnessKey, cosigners
from hashdb.errors import BadNote, BadPolicy, NotWitnessed, RootNotSigned

_NONE = "none"
_NUMBER = re.compile(r"[1-9][0-9]{0,5}", re.ASCII)
_MOST = 1_000_000
"""The most characters of a policy."""


@dataclass(frozen=True, slots=True)
class Witness:
    """A witness of a policy: its name there, its key, and the address at which it is asked, if the policy has it."""

    name: str
    key: WitnessKey
    url: str | None


@dataclass(frozen=True, slots=True)
class Group:
    """At least `least` of these witnesses and groups."""

    least: int
    members: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Policy:
    """Known logs and witnesses, and the quorum: the name of a witness or a group, or `none`."""

    logs: tuple[Verifier, ...]
    witnesses: tuple[Witness, ...]
    groups: Mapping[str, Group]
    quorum: str

    @classmethod
    def parse(cls, text: str, quorum: str | None = None) -> Policy:
        """The policy of a file; `quorum` is that of a file without such a line. Raises BadPolicy with the line."""
        return _Reader().read(text, quorum)

    @property
    def keys(self) -> tuple[WitnessKey, ...]:
        """The keys of the witnesses."""
        return tuple(witness.key for witness in self.witnesses)

    @property
    def asked(self) -> tuple[Witness, ...]:
        """The witnesses that have a URL."""
        return tuple(witness for witness in self.witnesses if witness.url is not None)

    @property
    def least(self) -> int:
        """The least number of witnesses that can make the quorum."""
        return self._least(self.quorum)

    def holds(self, signed: Collection[WitnessKey]) -> bool:
        """Whether the witnesses with these keys make the quorum."""
        names = {witness.name for witness in self.witnesses if witness.key in signed}
        return self._holds(self.quorum, names)

    def check(self, note: str, logs: Collection[Verifier] = ()) -> tuple[Checkpoint, Mapping[WitnessKey, int]]:
        """The checkpoint of a note that a log signed and the quorum cosigned, and who cosigned it when.

        The log is one of the policy, or of `logs` where the policy has none. Raises BadNote, NotWitnessed.
        """
        checkpoint, _ = read_checkpoint(note, self.logs or logs)
        signed = cosigners(note, self.keys)
        if not self.holds(signed):
            raise NotWitnessed(len(signed), len(self.witnesses), self.least)
        return checkpoint, signed

    def check_root(self, note: str, logs: Collection[Verifier] = ()) -> tuple[SetRoot, Mapping[WitnessKey, int]]:
        """The root of the active set of a note that a log signed and the quorum of organisations too, and who did when.

        The logs are as those of `check`. Raises BadNote, RootNotSigned.
        """
        body, verifier = read_note(note, self.logs or logs)
        root = SetRoot.parse(body)
        if root.origin != verifier.name:
            raise BadNote("the root of the set and its signature name different logs")
        signed = cosigners(note, self.keys)
        if not self.holds(signed):
            raise RootNotSigned(root.seq, len(signed), len(self.witnesses), self.least)
        return root, signed

    def _holds(self, name: str, names: Collection[str]) -> bool:
        if name == _NONE:
            return True
        group = self.groups.get(name)
        if group is None:
            return name in names
        return sum(self._holds(member, names) for member in group.members) >= group.least

    def _least(self, name: str) -> int:
        if name == _NONE:
            return 0
        group = self.groups.get(name)
        return 1 if group is None else sum(sorted(map(self._least, group.members))[: group.least])


@dataclass(frozen=True, slots=True)
class Cosigned:
    """A checkpoint that the quorum of a policy cosigned, its note, and who signed it when (seconds since 1970)."""

    checkpoint: Checkpoint
    note: str
    signed: Mapping[WitnessKey, int]


class _Reader:
    """Reads the lines of a policy in order."""

    def __init__(self) -> None:
        self._logs: list[Verifier] = []
        self._witnesses: dict[str, Witness] = {}
        self._groups: dict[str, Group] = {}
        self._members: set[str] = set()
        self._quorum: str | None = None

    def read(self, text: str, quorum: str | None) -> Policy:
        if len(text) > _MOST:
            raise BadPolicy(0, f"has more than {_MOST:,} characters")
        for number, line in enumerate(text.split("\n"), 1):
            try:
                self._take(line)
            except (BadNote, ValueError) as error:
                raise BadPolicy(number, str(error)) from None
        if (quorum := self._quorum or quorum) is None:
            raise BadPolicy(0, "has no line `quorum NAME`")
        return Policy(tuple(self._logs), tuple(self._witnesses.values()), self._groups, quorum)

    def _take(self, line: str) -> None:
        if any((letter < " " and letter != "\t") or letter == "\x7f" for letter in line):
            raise ValueError("it has control characters")
        words = [word for word in re.split(r"[ \t]+", line) if word]
        if not words or words[0].startswith("#"):
            return
        takes = {"log": self._log, "witness": self._witness, "group": self._group, "quorum": self._quorum_is}
        if words[0] not in takes:
            raise ValueError("a line begins with log, witness, group, quorum or #")
        takes[words[0]](words[1:])

    def _log(self, words: list[str]) -> None:
        if len(words) not in (1, 2):
            raise ValueError("it must be `log VKEY` or `log VKEY URL`")
        log = Verifier.parse(words[0])
        if any(known.public == log.public for known in self._logs):
            raise ValueError("an earlier line has this key")
        self._logs.append(log)

    def _witness(self, words: list[str]) -> None:
        if len(words) not in (2, 3):
            raise ValueError("it must be `witness NAME VKEY` or `witness NAME VKEY URL`")
        self._new(words[0])
        key = WitnessKey.parse(words[1])
        if any(known.key.public == key.public for known in self._witnesses.values()):
            raise ValueError("an earlier line has this key")
        self._witnesses[words[0]] = Witness(words[0], key, words[2] if len(words) == 3 else None)

    def _group(self, words: list[str]) -> None:
        if len(words) < 3:
            raise ValueError("it must be `group NAME all|any|NUMBER NAME ...`")
        name, rule, *members = words
        self._new(name)
        if rule not in ("all", "any") and not _NUMBER.fullmatch(rule):
            raise ValueError("the rule of a group is all, any or a number from 1")
        least = {"all": len(members), "any": 1}.get(rule) or int(rule)
        if least > len(members):
            raise ValueError(f"it wants {least} of {len(members)}")
        for member in members:
            if member not in self._witnesses and member not in self._groups:
                raise ValueError(f"no earlier line defines {member}")
            if member in self._members:
                raise ValueError(f"{member} is in a group already")
            self._members.add(member)
        self._groups[name] = Group(least, tuple(members))

    def _quorum_is(self, words: list[str]) -> None:
        if len(words) != 1 or self._quorum is not None:
            raise ValueError("there must be one line `quorum NAME`")
        if words[0] != _NONE and words[0] not in self._witnesses and words[0] not in self._groups:
            raise ValueError(f"no earlier line defines {words[0]}")
        self._quorum = words[0]

    def _new(self, name: str) -> None:
        if name == _NONE or name in self._witnesses or name in self._groups:
            raise ValueError(f"the name {name} is taken")
