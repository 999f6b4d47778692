"""Models of the feed, and its lines as they are streamed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from itertools import filterfalse
from math import isfinite
from typing import Annotated, Any, Self, TypeVar

from pydantic import Field
from pydantic_core import from_json

from hashdb.domain.contributions import Standing
from hashdb.domain.frames import Frame, Unit, split_shots
from hashdb.domain.ledger.commitments import COMMITMENT_OCTETS, SALT_OCTETS, placed_line, seal
from hashdb.domain.origins import Origin
from hashdb.domain.sharing.feed import Change, Changes, CopiedContribution, CopiedShot, FeedPage, FeedStep, Gone
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.signatures import Kind
from hashdb.domain.times import format_instant, parse_instant
from hashdb.wire import HashText, ResponseModel
from hashdb.wire.contributions import ContributionOut, visible_fields
from hashdb.wire.conversions import OMIT_DEFAULT, Mirror

_Known = TypeVar("_Known", Algorithm, Kind)


class ChangeOut(ResponseModel, Mirror[Change]):
    """One change: a contribution as it is now, or one that is gone."""

    seq: int = Field(description="The seq of the change.")
    contribution: ContributionOut | None = Field(None, description="The contribution as it is now.")
    gone: int | None = Field(None, description="The id of a contribution to remove from your copy.")
    reason: str | None = Field(
        None,
        description="Why it is gone: `withdrawn`, `expired`, `suspended`, `quarantined`, `retired`, or "
        "`masked` if all its signals are suppressed.",
    )
    withdrawal_reason: str | None = Field(
        None, description="Why it was withdrawn: a reason of the vocabulary. Absent from a service of version 0.1.0."
    )
    standing: Annotated[Standing | None, OMIT_DEFAULT] = Field(
        None, description="If it is gone and `masked`: its standing, with which it is in the active set still."
    )
    commitment: Annotated[HashText | None, OMIT_DEFAULT] = Field(
        None, description="If it is gone and `masked`: the commitment to its signals."
    )

    @classmethod
    def from_domain(cls, value: Change) -> Self:
        """The model of a change."""
        if isinstance(value.what, Gone):
            return cls.build(**_gone_fields(value.seq, value.what))
        return cls.build(seq=value.seq, contribution=ContributionOut.from_domain(value.what))

    def to_domain(self) -> Change:
        """The change."""
        if self.contribution is not None:
            return Change(self.seq, self.contribution.to_domain())
        commitment = None if self.commitment is None else bytes.fromhex(self.commitment)
        gone = Gone(self.gone or 0, self.reason or "", self.withdrawal_reason, self.standing, commitment)
        return Change(self.seq, gone)


class ChangesOut(ResponseModel, Mirror[Changes]):
    """A page of the feed. Continue after `checkpoint`."""

    changes: list[ChangeOut] = Field(description="The changes, in the order of their seqs.")
    checkpoint: int = Field(description="Where to continue: send it as `after`.")
    more: bool = Field(description="Whether more changes are available at once.")
    epoch: str = Field(description="The epoch of the log. If it differs from that of your copy, start again from 0.")


class ChangesEnd(ResponseModel):
    """The last line of a stream of changes."""

    checkpoint: int
    more: bool
    epoch: str


def change_line(change: Change) -> str:
    """A line of a stream: the JSON text of a `ChangeOut`, in two thirds of the time."""
    if isinstance(change.what, Gone):
        return _encode(_gone_fields(change.seq, change.what)) + "\n"
    return _encode({"seq": change.seq, "contribution": visible_fields(change.what)}) + "\n"


def _gone_fields(seq: int, gone: Gone) -> dict[str, object]:
    """The fields of `ChangeOut` for a contribution that is gone."""
    fields: dict[str, object] = {"seq": seq, "gone": gone.contribution, "reason": gone.reason}
    if gone.withdrawal_reason is not None:
        fields["withdrawal_reason"] = gone.withdrawal_reason
    if gone.standing is not None:
        fields["standing"] = gone.standing
    if gone.commitment is not None:
        fields["commitment"] = gone.commitment.hex()
    return fields


def _to_text(value: object) -> str:
    return format_instant(value) if isinstance(value, datetime) else str(value)


_encode = json.JSONEncoder(default=_to_text, separators=(",", ":"), ensure_ascii=False, check_circular=False).encode


def parse_lines(text: bytes) -> FeedPage:
    """The changes in some whole lines of a stream, in a third of the time that models take.

    Signals and signatures that this version does not know are left out. Raises ValueError for a malformed line.
    """
    try:
        # Unlike `json`, it rejects NaN and halves of characters, which no database stores.
        lines = from_json(b"[%b]" % text.strip().replace(b"\n", b","), allow_inf_nan=False)
        end = lines.pop() if lines and "checkpoint" in lines[-1] else None
        steps = tuple([FeedStep(_integer(line["seq"]), _parse_change(line)) for line in lines])
        if end is None:
            return FeedPage(steps, steps[-1].seq if steps else 0)
        return FeedPage(steps, _integer(end["checkpoint"]), bool(end["more"]), str(end["epoch"]))
    except (LookupError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise ValueError("a line is neither a change nor the end") from error


def _parse_change(line: Any) -> CopiedContribution | Gone:
    fields = line.get("contribution")
    if fields is None:
        standing = None if line.get("standing") is None else _STANDINGS[line["standing"]]
        commitment = _fixed_octets(line.get("commitment"), COMMITMENT_OCTETS)
        return Gone(_integer(line["gone"]), str(line["reason"]), None, standing, commitment)
    removed, expires, severity = fields["removed_at"], fields["expires_at"], fields["severity"]
    salt = _fixed_octets(fields.get("salt"), SALT_OCTETS)
    signal_texts, signature_texts = fields["signals"], fields.get("signatures", ())
    signals = tuple([signal for text in signal_texts if (signal := _signal_octets(text))])
    signatures = tuple([signature for text in signature_texts if (signature := _signature_octets(text))])
    shots, unknown = _parse_shots(fields["frames"]) if fields.get("frames") else ((), [])
    if len(signals) < len(signal_texts) or len(signatures) < len(signature_texts):
        unknown += [*filterfalse(_signal_octets, signal_texts), *filterfalse(_signature_octets, signature_texts)]
    return CopiedContribution(
        _integer(fields["id"]),
        _counted_member(fields),
        signals,
        tuple(map(str, fields["labels"])),
        None if severity is None else _integer(severity),
        _STANDINGS[fields["standing"]],
        tuple(map(str, fields["context"])),
        None if removed is None else parse_instant(removed),
        parse_instant(fields["received_at"]),
        None if expires is None else parse_instant(expires),
        None if (duration := fields.get("duration")) is None else _seconds(duration),
        shots,
        signatures,
        None if (pages := fields.get("pages")) is None else _integer(pages),
        None if (words := fields.get("words")) is None else _integer(words),
        salt,
        _fixed_octets(fields.get("commitment"), COMMITMENT_OCTETS),
        _undisclosed(fields.get("undisclosed"), salt, unknown) if unknown or "undisclosed" in fields else (),
    )


def _undisclosed(seals: Any, salt: bytes | None, unknown: Iterable[str]) -> tuple[bytes, ...]:
    """The seals of what the copy does not have: `seals` (hex) of suppressed signals, and of lines that are unknown."""
    sealed = {octets for text in seals or () if (octets := _fixed_octets(text, COMMITMENT_OCTETS))}
    if salt is not None:
        sealed.update(seal(salt, line) for line in unknown)
    return tuple(sorted(sealed))


def _fixed_octets(text: Any, size: int) -> bytes | None:
    """The octets of a hex text; None without a text. Raises ValueError if they are not `size` octets."""
    if text is None:
        return None
    octets = bytes.fromhex(text)
    if len(octets) != size:
        raise ValueError(f"a salt or a hash has {size} octets")
    return octets


def _counted_member(fields: Any) -> int:
    """The number by which a copy counts the member: if the contribution came from another hashdb, its member there."""
    origin, member = fields.get("origin"), _integer(fields["member"]["id"])
    if origin is None:
        return member
    return Origin(str(origin["log"]), int(origin["contribution"]), int(origin["member"])).packed_member(member)


def _parse_shots(frames: Any) -> tuple[tuple[CopiedShot, ...], list[str]]:
    """The shots, pages and windows that are searched for, and the commitment's lines for their unknown signals."""
    shots: list[CopiedShot] = []
    unknown: list[str] = []
    position = 0
    for shot in split_shots(map(_parse_frame, frames)):
        first, texts = shot.frames[0], frames[position]["signals"]
        position += len(shot.frames)
        if not first.matches:
            continue
        signals = tuple([(signal.algorithm, signal.to_bytes()) for signal in first.signals])
        shots.append(CopiedShot(shot.start, shot.end, signals, shot.unit))
        if len(signals) < len(texts):
            unknown += [
                placed_line(shot.unit, shot.start, shot.end, text) for text in filterfalse(_signal_octets, texts)
            ]
    return tuple(shots), unknown


def _parse_frame(frame: Any) -> Frame:
    texts = frame["signals"]
    signals = tuple([Signal.from_bytes(*octets) for text in texts if (octets := _signal_octets(text))])
    begins = frame.get("begins_shot")
    if begins is None and len(signals) < len(texts):
        # Only a frame with one PDQ may belong to the shot of the frame before it.
        begins = True
    if "at" in frame:
        return Frame(_seconds(frame["at"]), signals, frame["quality"], begins_shot=begins)
    if "page" in frame:
        return Frame(_integer(frame["page"]), signals, frame["quality"], unit=Unit.PAGES)
    first, end = map(_integer, frame["words"])
    return Frame(first, signals, unit=Unit.WORDS, length=end - first)


def _integer(value: Any) -> int:
    """A number or an id. Raises ValueError for one that no database stores."""
    number = int(value)
    if number.bit_length() > 63:
        raise ValueError("a number has at most 64 bits")
    return number


def _seconds(value: Any) -> float:
    """A time or a duration. Raises ValueError for infinity, as which JSON with a very large number is read."""
    seconds = float(value)
    if not isfinite(seconds):
        raise ValueError("a time is a finite number")
    return seconds


def _known_octets(sizes: Mapping[str, tuple[_Known, int]], text: str) -> tuple[_Known, bytes] | None:
    """The algorithm or kind and the value of `name:hex`; None if this version does not know it. Raises ValueError."""
    name, _, digits = text.partition(":")
    if name not in sizes:
        return None
    known, size = sizes[name]
    octets = bytes.fromhex(digits)
    if len(octets) != size:
        raise ValueError(f"{name} takes {size} bytes")
    return known, octets


_signal_octets = partial(_known_octets, {str(algorithm): (algorithm, algorithm.bits // 8) for algorithm in Algorithm})
_signature_octets = partial(_known_octets, {str(kind): (kind, kind.octets) for kind in Kind})
_STANDINGS = {str(standing): standing for standing in Standing}
