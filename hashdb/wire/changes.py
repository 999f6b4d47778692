"""The feed on the wire."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from hashdb.domain.changes import Change, Changes, Copied, Gone, Step, Steps
from hashdb.domain.contributions import Standing
from hashdb.domain.instants import format_instant, parse_instant
from hashdb.domain.signals import Algorithm
from hashdb.wire import Answered
from hashdb.wire.contributions import ContributionOut, seen


class ChangeOut(Answered):
    """One change: a contribution as it is now, or the id of one that is gone and why."""

    seq: int
    contribution: ContributionOut | None = None
    gone: int | None = None
    reason: str | None = None

    @classmethod
    def of(cls, change: Change) -> ChangeOut:
        """The wire form of a change; `value` is the inverse."""
        if isinstance(change.what, Gone):
            return cls.made(seq=change.seq, gone=change.what.contribution, reason=change.what.reason)
        return cls.made(seq=change.seq, contribution=ContributionOut.of(change.what))

    def value(self) -> Change:
        """The change that this spells."""
        if self.contribution is not None:
            return Change(self.seq, self.contribution.value())
        return Change(self.seq, Gone(self.gone or 0, self.reason or ""))


class ChangesOut(Answered):
    """A page of the feed; read on after `checkpoint`."""

    changes: list[ChangeOut]
    checkpoint: int
    more: bool
    epoch: str

    @classmethod
    def of(cls, page: Changes) -> ChangesOut:
        """The wire form of a page; `value` is the inverse."""
        changes = [ChangeOut.of(change) for change in page.changes]
        return cls.model_construct(changes=changes, checkpoint=page.checkpoint, more=page.more, epoch=page.epoch)

    def value(self) -> Changes:
        """The page that this spells."""
        return Changes(tuple(change.value() for change in self.changes), self.checkpoint, self.more, self.epoch)


class ChangesEnd(Answered):
    """The last line of a stream of changes."""

    checkpoint: int
    more: bool
    epoch: str


def line(change: Change) -> str:
    """A line of a stream: what `ChangeOut` writes, in two thirds of the time."""
    if isinstance(change.what, Gone):
        return _encode({"seq": change.seq, "gone": change.what.contribution, "reason": change.what.reason}) + "\n"
    return _encode({"seq": change.seq, "contribution": seen(change.what)}) + "\n"


def _text(value: object) -> str:
    return format_instant(value) if isinstance(value, datetime) else str(value)


_encode = json.JSONEncoder(default=_text, separators=(",", ":"), ensure_ascii=False, check_circular=False).encode


def read_lines(text: bytes) -> Steps:
    """What some whole lines of a stream say, in a third of the time that models take.

    Signals of algorithms that this version does not know are left out. Raises ValueError where a line is none.
    """
    try:
        lines = json.loads(b"[%b]" % text.strip().replace(b"\n", b","))
        end = lines.pop() if lines and "checkpoint" in lines[-1] else None
        steps = tuple([Step(int(line["seq"]), _what(line)) for line in lines])
        if end is None:
            return Steps(steps, steps[-1].seq if steps else 0)
        return Steps(steps, int(end["checkpoint"]), bool(end["more"]), str(end["epoch"]))
    except (LookupError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("a line is neither a change nor the end") from error


def _what(line: Any) -> Copied | Gone:
    said = line.get("contribution")
    if said is None:
        return Gone(int(line["gone"]), str(line["reason"]))
    removed, expires, severity = said["removed_at"], said["expires_at"], said["severity"]
    return Copied(
        int(said["id"]),
        int(said["member"]["id"]),
        tuple([octets for text in said["signals"] if (octets := _octets(text))]),
        tuple(map(str, said["labels"])),
        None if severity is None else int(severity),
        _STANDINGS[said["standing"]],
        tuple(map(str, said["context"])),
        None if removed is None else parse_instant(removed),
        parse_instant(said["received_at"]),
        None if expires is None else parse_instant(expires),
    )


def _octets(text: str) -> tuple[Algorithm, bytes] | None:
    name, _, digits = text.partition(":")
    algorithm = _ALGORITHMS.get(name)
    if algorithm is None:
        return None
    octets = bytes.fromhex(digits)
    if len(octets) != _SIZES[name]:
        raise ValueError(f"{name} takes {_SIZES[name]} bytes")
    return algorithm, octets


_ALGORITHMS = {str(algorithm): algorithm for algorithm in Algorithm}
_SIZES = {str(algorithm): algorithm.bits // 8 for algorithm in Algorithm}
_STANDINGS = {str(standing): standing for standing in Standing}
