"""Models of ThreatExchange's Graph API."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from hashdb.domain.contributions import Contribution, Media
from hashdb.domain.review.cases import Opinion, OpinionDraft, Stance
from hashdb.domain.sharing.exchanges import ExchangeRecord
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.times import format_instant
from hashdb.errors import InvalidInput
from hashdb.wire import one_of
from hashdb.wire.sharing import CommaSeparated, ForeignRequest, PageSize, UnixSeconds, digits_of, signal_of
from hashdb.wire.sharing.passages import read_passages
from hashdb.wire.sharing.vpdq import read_vpdq, vpdq_json

PDQ = "HASH_PDQ"
_VPDQ = "HASH_VIDEO_VPDQ"
_TYPES = {Algorithm.PDQ: (PDQ, PDQ)} | {
    algorithm: (f"HASH_{name}", f"HASH_VIDEO_{name}")
    for algorithm, name in ((Algorithm.MD5, "MD5"), (Algorithm.SHA256, "SHA256"))
}
"""By algorithm: the type of an indicator, and the type of an indicator of a video."""
_ALGORITHMS = {name: algorithm for algorithm, names in _TYPES.items() for name in names}
ADDRESSES = ("URI", "RAW_URI", "UNCLICKABLE_URL")
"""Types whose indicator is an address."""
TEXT = "TEXT_STRING"
_MEDIA = {"media_type_photo": Media.IMAGE, "media_type_video": Media.VIDEO, "media_type_document": Media.DOCUMENT}
"""Tags that say what a digest is of."""
_STANCES = {"HELPFUL": Stance.CONFIRMS, "NOT_HELPFUL": Stance.DISPUTES, "DISAGREE_WITH_TAGS": Stance.DISPUTES}
_IGNORED = ("INGESTED", "IN_REVIEW", "NON_MALICIOUS", "SAW_THIS_TOO", "WANTS_INFO")
"""Reactions that are no opinion."""


class UpdatesQuery(ForeignRequest):
    """Which updates to read: from one second (Unix time) on, before another, page by page."""

    start_time: UnixSeconds = 0
    stop_time: UnixSeconds | None = None
    limit: PageSize = 100
    types: CommaSeparated = ()
    after: Annotated[str, Field(pattern=r"^([0-9]{1,15}-[0-9]{1,11})?$")] = ""


class ReactionIn(ForeignRequest):
    """A reaction to a descriptor."""

    reactions: Annotated[str, one_of((*_STANCES, *_IGNORED))]

    def opinion(self) -> OpinionDraft | None:
        """The opinion; None if the reaction is not an opinion."""
        stance = _STANCES.get(self.reactions)
        if stance is None:
            return None
        return OpinionDraft(stance, "other" if stance is Stance.DISPUTES else None)


class DescriptorIn(ForeignRequest):
    """A new descriptor: a value of removed content."""

    type: Literal[
        "HASH_PDQ",
        "HASH_MD5",
        "HASH_SHA256",
        "HASH_VIDEO_MD5",
        "HASH_VIDEO_SHA256",
        "HASH_VIDEO_VPDQ",
        "URI",
        "RAW_URI",
        "UNCLICKABLE_URL",
        "TEXT_STRING",
    ]
    status: Literal["MALICIOUS"]
    indicator: str
    tags: str = ""

    def fields(self) -> dict[str, object]:
        """The fields of a draft; addresses and texts are hashed before. Raises InvalidInput."""
        media = Media.VIDEO if self.type.startswith("HASH_VIDEO_") else Media.IMAGE
        media = next((kind for tag, kind in _MEDIA.items() if tag in self.tags.split(",")), media)
        try:
            if self.type in ADDRESSES:
                return {"signals": [str(signal_of(Algorithm.URL, self.indicator))], "media": str(Media.DOCUMENT)}
            if self.type == TEXT:
                return {"signals": [], "media": str(Media.TEXT), "frames": read_passages(self.indicator)}
            if self.type == _VPDQ:
                return {"signals": [], "media": str(media), **read_vpdq(self.indicator)}
            return {"signals": [str(signal_of(_ALGORITHMS[self.type], self.indicator))], "media": str(media)}
        except ValueError as error:
            raise InvalidInput.at_field("indicator", str(error)) from None


def read_types(types: Collection[str]) -> tuple[frozenset[Algorithm], bool]:
    """The algorithms of these types (empty: all), and whether vPDQ is among them."""
    algorithms = [_ALGORITHMS[name] for name in types if name in _ALGORITHMS] if types else _TYPES
    return frozenset(algorithms), not types or _VPDQ in types


def updates_of(record: ExchangeRecord, types: Collection[str]) -> Iterator[dict[str, object]]:
    """The updates of these types (empty: all) for one value. A digest that is gone may have had either of its types."""
    if not isinstance(record.value, Signal):
        names: Iterable[str] = (_VPDQ,)
    elif record.gone:
        names = dict.fromkeys(_TYPES[record.value.algorithm])
    else:
        usual_type, video_type = _TYPES[record.value.algorithm]
        names = (video_type if record.of_video else usual_type,)
    return (_update(record, name) for name in names if not types or name in types)


def _update(record: ExchangeRecord, name: str) -> dict[str, object]:
    value = record.value
    update: dict[str, object] = {
        "id": str(record.number),
        "indicator": digits_of(value) if isinstance(value, Signal) else vpdq_json(value),
        "type": name,
        "last_updated": int(record.at.timestamp()),
        "should_delete": record.gone,
    }
    if record.gone:
        return update
    members = {contribution.member for contribution in record.contributions}
    members |= {opinion.member for opinion in record.opinions}
    return update | {
        "creation_time": int(min(contribution.received_at for contribution in record.contributions).timestamp()),
        "status": "MALICIOUS",
        "tags": sorted({label for contribution in record.contributions for label in contribution.labels}),
        "applications_with_opinions": sorted(map(str, members)),
        "descriptors": {"data": [descriptor_out(listed, record.opinions) for listed in record.contributions]},
    }


def last_update_out(second: int) -> dict[str, object]:
    """The last update of a fetch: it deletes nothing, and has the second (Unix time) from which to continue.

    The client fails on an empty page, and continues from the latest time that it has seen.
    """
    zero = "0" * (Algorithm.PDQ.bits // 4)
    return {"id": "0", "indicator": zero, "type": PDQ, "last_updated": second, "should_delete": True}


def descriptor_out(contribution: Contribution, opinions: Iterable[Opinion]) -> dict[str, object]:
    """A contribution as a descriptor, with the opinions on it as reactions."""
    on_this = [opinion for opinion in opinions if opinion.contribution == contribution.id]
    by_key = {
        key: [str(opinion.member) for opinion in on_this if opinion.stance is stance]
        for key, stance in (("HELPFUL", Stance.CONFIRMS), ("DISAGREE_WITH_TAGS", Stance.DISPUTES))
    }
    return {
        "id": str(contribution.id),
        "owner": {"id": str(contribution.member), "name": contribution.member_name},
        "status": "MALICIOUS",
        "tags": {"data": [{"id": label, "text": label} for label in contribution.labels]},
        "added_on": format_instant(contribution.received_at),
        "reactions": [{"key": key, "value": ",".join(members)} for key, members in by_key.items() if members],
    }


def updates_out(updates: list[dict[str, object]], next_url: str | None) -> dict[str, object]:
    """A page of updates, with the address of the next page."""
    return {"data": updates} | ({} if next_url is None else {"paging": {"next": next_url}})


def group_out(id: int, since: datetime) -> dict[str, object]:
    """The database, which began at `since`, as a privacy group that has every member."""
    return {
        "id": str(id),
        "name": "hashdb",
        "description": "hashes of what members removed as terrorist content",
        "members_can_see": True,
        "members_can_use": True,
        "threat_updates_enabled": True,
        "added_on": format_instant(since),
        "last_updated": format_instant(since),
    }
