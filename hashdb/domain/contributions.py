"""Drafts and contributions: one removed item, as a member sends it and as the service records it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import chain
from typing import TypeVar

from hashdb.domain.frames import Extent, Frame, Unit, extent_of
from hashdb.domain.origins import Origin
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.signatures import Signature
from hashdb.domain.tiers import Tier

_Hash = TypeVar("_Hash", Signal, Signature)
TOMBSTONES_KEPT = timedelta(days=90)
"""How long the endpoints in other systems' protocols list a withdrawn record, as ThreatExchange does.

Their records have no ids, so the hashes must be kept as long: without the hash, a reader cannot tell what to delete.
"""


class Media(StrEnum):
    """The kind of content that was removed.

    `image`: a picture. `video`: a video. `video_frame`: a frame of a video. `document`: a document with pages, or what
    an address leads to. `audio`: a sound recording. `text`: a text without pages.
    """

    IMAGE = "image"
    VIDEO = "video"
    VIDEO_FRAME = "video_frame"
    DOCUMENT = "document"
    AUDIO = "audio"
    TEXT = "text"


class Status(StrEnum):
    """The status of a contribution; only an active one matches.

    `active`: it takes part. `withdrawn`: its member withdrew it. `expired`: its time is over. `suspended`: its member
    is suspended.
    """

    ACTIVE = "active"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    SUSPENDED = "suspended"


class Standing(StrEnum):
    """The result of the opinions and decisions on a contribution.

    `unreviewed`: no other member has given an opinion. `confirmed`: another member confirms it. `disputed`: another
    member disputes it; it still matches. `quarantined`: it does not match until a later decision. `retired`: a reviewer
    found it wrong; it does not match.
    """

    UNREVIEWED = "unreviewed"
    CONFIRMED = "confirmed"
    DISPUTED = "disputed"
    QUARANTINED = "quarantined"
    RETIRED = "retired"

    @property
    def matches(self) -> bool:
        """Whether an active contribution with this standing matches."""
        return self not in (Standing.QUARANTINED, Standing.RETIRED)


@dataclass(frozen=True, slots=True)
class _Item:
    """What is sent and stored of a removed item.

    `quality` is PDQ's (0 to 100), `duration` the length of a video in seconds, `notified_at` when the member was told
    of the item, `reference` the member's own id for it.
    """

    signals: tuple[Signal, ...]
    labels: tuple[str, ...]
    removed_at: datetime | None
    quality: int | None = None
    media: Media = Media.IMAGE
    severity: int | None = None
    basis: str | None = None
    tco_ground: str | None = None
    entity: str | None = None
    incident: str | None = None
    context: tuple[str, ...] = ()
    notified_at: datetime | None = None
    reference: str | None = None
    expires_at: datetime | None = None
    frames: tuple[Frame, ...] = ()
    duration: float | None = None
    signatures: tuple[Signature, ...] = ()

    def every_signal(self) -> Iterator[Signal]:
        """The signals of the item itself, then those of its frames, if the frames were read."""
        return chain(self.signals, *[frame.signals for frame in self.frames]) if self.frames else iter(self.signals)


@dataclass(frozen=True, slots=True)
class Draft(_Item):
    """What a member sends: one removed item, with 1 to 64 signals or frames, or both."""

    @property
    def extent(self) -> Extent | None:
        """How long the item is; None without frames."""
        return extent_of(self.frames, self.duration) if self.frames else None

    def fingerprint(self) -> bytes:
        """SHA-256 over the set of signals and of frames (32 bytes), which does not depend on their order."""
        texts = {str(signal) for signal in self.signals}
        for frame in self.frames:
            unit = "" if frame.unit is Unit.SECONDS else f"{frame.unit}:"
            texts.update(f"{unit}{frame.at:.3f}:{signal}" for signal in frame.signals)
        return hashlib.sha256(" ".join(sorted(texts)).encode()).digest()


@dataclass(frozen=True, slots=True)
class Addition:
    """What a member sends to add to a contribution of its own: signals and signatures of the same picture, by its id.

    A signal of 256 bits that is sent must be a stored one: it shows that the same picture was hashed.
    """

    id: int
    signals: tuple[Signal, ...]
    signatures: tuple[Signature, ...] = ()

    def shows_same_picture(self, stored: Collection[Signal]) -> bool:
        """Whether one of the sent signals of 256 bits is a stored signal of the contribution."""
        return any(signal.algorithm.bits == 256 and signal in stored for signal in self.signals)


def new_hashes(sent: Sequence[_Hash], stored: Mapping[int, _Hash], most: int) -> dict[int, _Hash]:
    """The sent hashes that are not stored, each once, by the positions that they get behind the stored ones.

    `stored` has the stored hashes by position. An item has at most `most` hashes: further ones are left out.
    """
    known, first = set(stored.values()), max(stored, default=-1) + 1
    new = [hash for hash in dict.fromkeys(sent) if hash not in known]
    return dict(zip(range(first, most), new, strict=False))


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution(_Item):
    """A recorded item of one member. Its `frames` are only in the feed and in exports.

    `hidden` names the fields that the reader may not see. They are empty, like erased fields.
    """

    id: int
    member: int
    member_name: str
    status: Status
    standing: Standing
    received_at: datetime
    withdrawn_at: datetime | None = None
    withdrawal_reason: str | None = None
    erased: bool = False
    masked: int = 0
    """How many signals are suppressed, because they are near a benign entry; `signals` does not have them."""
    hidden: frozenset[str] = frozenset()
    frame_count: int = 0
    """How many frames its member sent; a separate request reads them."""
    pages: int | None = None
    """How many pages a document has, as its last frame says."""
    words: int | None = None
    """How many words a text has, as its last frame says."""
    changed_at: datetime | None = field(default=None, compare=False)
    """The time of its last event; None where it was not requested, or the reader may not know it."""
    origin: Origin | None = None
    """Where it was first contributed, if it came from another hashdb."""
    salt: bytes | None = field(default=None, compare=False)
    """The salt of its commitment, for those who may see its signals; None before there is one, and once erased."""
    commitment: bytes | None = field(default=None, compare=False)
    """The hash of its signals and the salt that the log has (`domain.ledger.commitments`)."""
    undisclosed: tuple[bytes, ...] = field(default=(), compare=False)
    """The seals (`domain.ledger.commitments`) of its suppressed signals, which `signals` and `frames` leave out.

    Empty unless they were read.
    """

    @property
    def no_match_reason(self) -> str | None:
        """The status or standing that keeps it from matching; None if it matches."""
        if self.status is not Status.ACTIVE:
            return str(self.status)
        return None if self.standing.matches else str(self.standing)

    def shown(self, *, signals: bool, reference: bool, member: bool = True) -> Contribution:
        """The contribution as a reader with these rights sees it; a hidden member is 0, without an origin."""
        rights = {"signals": signals, "reference": reference}
        return replace(
            self,
            member=self.member if member else 0,
            member_name=self.member_name if member else "",
            origin=self.origin if member else None,
            signals=self.signals if signals else (),
            frames=self.frames if signals else (),
            signatures=self.signatures if signals else (),
            salt=self.salt if signals else None,
            undisclosed=self.undisclosed if signals else (),
            reference=self.reference if reference else None,
            hidden=frozenset(name for name, may in rights.items() if not may),
        )


class Unset(StrEnum):
    """The mark of a field that a change leaves unchanged (None removes the value)."""

    UNSET = "unset"


UNSET = Unset.UNSET


@dataclass(frozen=True, slots=True)
class Amendment:
    """What a client sends to change a contribution."""

    labels: tuple[str, ...] | Unset = UNSET
    severity: int | None | Unset = UNSET
    basis: str | None | Unset = UNSET
    context: tuple[str, ...] | Unset = UNSET
    incident: str | None | Unset = UNSET
    expires_at: datetime | None | Unset = UNSET


@dataclass(frozen=True, slots=True)
class Recorded:
    """The result of one draft; `known` means that the member already had an active contribution with these signals."""

    contribution: Contribution
    known: bool


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to a request that contributes, one `Recorded` a draft, in order.

    All of it is stored and can be matched as of the event with seq `checkpoint`.
    """

    recorded: tuple[Recorded, ...]
    checkpoint: int


@dataclass(frozen=True, slots=True)
class Filter:
    """Which contributions to list; None is any. `since` (inclusive) and `until` (exclusive) bound `received_at`.

    `reference` is a prefix of the contributor's own id. `expires_until` (exclusive) bounds `expires_at`.
    """

    member: int | None = None
    status: Status | None = None
    standing: Standing | None = None
    label: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    severity: int | None = None
    algorithm: Algorithm | None = None
    incident: str | None = None
    reference: str | None = None
    removed_since: datetime | None = None
    removed_until: datetime | None = None
    expires_until: datetime | None = None
    media: Media | None = None
    tier: Tier | None = None


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """What identifies a repeated request: the idempotency key of the member and a digest of the body."""

    key: str
    digest: bytes
