"""ThreatExchange's Graph API on the wire."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from annotated_types import Ge
from pydantic import AfterValidator, BeforeValidator, Field

from hashdb.domain.contributions import Contribution
from hashdb.domain.review.cases import Opinion, OpinionDraft, Stance
from hashdb.domain.sharing.feed import ExchangeRecord
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.times import format_instant
from hashdb.wire.pages import Count
from hashdb.wire.sharing import Foreign, digits_of, pdq_of
from hashdb.wire.sharing.stopncii import Seconds

PDQ = "HASH_PDQ"
_STANCES = {"HELPFUL": Stance.CONFIRMS, "NOT_HELPFUL": Stance.DISPUTES, "DISAGREE_WITH_TAGS": Stance.DISPUTES}
_HEARD = ("INGESTED", "IN_REVIEW", "NON_MALICIOUS", "SAW_THIS_TOO", "WANTS_INFO")


class UpdatesQuery(Foreign):
    """Which updates to read: from a second on, before another, and of these the page after a cursor."""

    start_time: Seconds = 0
    stop_time: Seconds | None = None
    limit: Annotated[Count, Ge(1), AfterValidator(lambda size: min(size, 1000))] = 100
    types: str = PDQ
    after: Annotated[str, Field(pattern=r"^([0-9]{1,15}-[0-9]{1,11})?$")] = ""


def _reaction(name: object) -> object:
    if name not in (*_STANCES, *_HEARD):
        raise ValueError(f"is one of {', '.join((*_STANCES, *_HEARD))}")
    return name


class ReactionIn(Foreign):
    """A reaction to a descriptor."""

    reactions: Annotated[str, AfterValidator(_reaction)]

    def opinion(self) -> OpinionDraft | None:
        """The opinion that it is; None where it is none."""
        stance = _STANCES.get(self.reactions)
        if stance is None:
            return None
        return OpinionDraft(stance, "other" if stance is Stance.DISPUTES else None)


class DescriptorIn(Foreign):
    """A new descriptor: that a value is of what was removed."""

    indicator: Annotated[Signal, BeforeValidator(lambda text: pdq_of(str(text)))]
    type: Literal["HASH_PDQ"]
    status: Literal["MALICIOUS"]


def update_out(record: ExchangeRecord) -> dict[str, object]:
    """What a reader is to hold of a value."""
    told: dict[str, object] = {
        "id": str(record.number),
        "indicator": digits_of(record.signal),
        "type": PDQ,
        "last_updated": int(record.at.timestamp()),
        "should_delete": record.gone,
    }
    if record.gone:
        return told
    members = {one.member for one in record.contributions} | {one.member for one in record.opinions}
    return told | {
        "creation_time": _second(min(one.received_at for one in record.contributions)),
        "status": "MALICIOUS",
        "tags": sorted({label for one in record.contributions for label in one.labels}),
        "applications_with_opinions": sorted(map(str, members)),
        "descriptors": {"data": [descriptor_out(one, record.opinions) for one in record.contributions]},
    }


def level_out(second: int) -> dict[str, object]:
    """The last update of a fetch: nothing to hold, and the second from which on to read the next time.

    The client fails where a page is empty, and goes on from the latest time that it has seen.
    """
    zero = "0" * (Algorithm.PDQ.bits // 4)
    return {"id": "0", "indicator": zero, "type": PDQ, "last_updated": second, "should_delete": True}


def descriptor_out(one: Contribution, opinions: Iterable[Opinion]) -> dict[str, object]:
    """A contribution as a descriptor, with the opinions on it as reactions."""
    by_key = {
        key: [str(said.member) for said in opinions if said.contribution == one.id and said.stance is stance]
        for key, stance in (("HELPFUL", Stance.CONFIRMS), ("DISAGREE_WITH_TAGS", Stance.DISPUTES))
    }
    return {
        "id": str(one.id),
        "owner": {"id": str(one.member), "name": one.member_name},
        "status": "MALICIOUS",
        "tags": {"data": [{"id": label, "text": label} for label in one.labels]},
        "added_on": format_instant(one.received_at),
        "reactions": [{"key": key, "value": ",".join(said)} for key, said in by_key.items() if said],
    }


def updates_out(updates: list[dict[str, object]], following: str | None) -> dict[str, object]:
    """A page of updates, and the address of the next one."""
    return {"data": updates} | ({} if following is None else {"paging": {"next": following}})


def group_out(id: int, since: datetime) -> dict[str, object]:
    """The database as a privacy group, of which every member is one."""
    return {
        "id": str(id),
        "name": "hashdb",
        "description": "PDQ hashes of what members removed as terrorist content",
        "members_can_see": True,
        "members_can_use": True,
        "threat_updates_enabled": True,
        "added_on": format_instant(since),
        "last_updated": format_instant(since),
    }


def _second(at: datetime) -> int:
    return int(at.timestamp())
