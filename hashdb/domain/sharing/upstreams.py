"""Upstreams: other services whose lists this one follows, and what is read of them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import NamedTuple, Self

from hashdb.domain.contributions import Draft, Standing
from hashdb.domain.origins import Origin

REQUEST_PERIOD = timedelta(seconds=5)
"""The time between two requests to an upstream that answers."""
LEASE = timedelta(minutes=2)
"""The time without a page after which another process may read the upstream, since the first one may have ended."""
PAGE_SIZE = 200
"""The most changes of a request; they are stored in one transaction."""
_LONGEST_PAUSE = 600.0
"""Seconds between two requests to an upstream that fails."""


class UpstreamTrouble(StrEnum):
    """Why an upstream cannot be followed now."""

    UNREACHABLE = "unreachable", "it does not answer"
    ADDRESS_REFUSED = "address_refused", "this service may not connect there, see HASHDB_WEBHOOK_NETWORKS"
    KEY_REFUSED = "key_refused", "it does not know the key, or the key has expired"
    SCOPE_MISSING = "scope_missing", "the key does not have the scope feed there"
    SUSPENDED = "suspended", "the member of the key is suspended there"
    BUSY = "busy", "it asks the service to wait"
    NOT_HASHDB = "not_hashdb", "its answer is not from hashdb"
    OTHER_LOG = "other_log", "the address leads to another log: remove it, and follow that one as a new list"
    DAY_LIMIT = "day_limit", "its member has reached its limit of contributions for today"

    sentence: str
    """What is wrong, for the operator."""

    def __new__(cls, value: str, sentence: str = "") -> Self:
        """A member with its sentence."""
        member = str.__new__(cls, value)
        member._value_, member.sentence = value, sentence
        return member


@dataclass(frozen=True, slots=True)
class UpstreamDraft:
    """What an operator gives to follow a list."""

    url: str
    name: str
    key: str = field(repr=False)
    a_day: int | None = None
    """The most contributions a day; None is no limit."""


@dataclass(frozen=True, slots=True)
class Upstream:
    """Another service whose list this one follows, without the key.

    The feed was read up to `seq` of the log with this `epoch` there. Each reading from the beginning is a `round`;
    `rereading` is whether one is not finished. `judges` is whether opinions given here are sent back to it, and
    `judged` is the seq of the log here up to which they were. `failures` in a row began at `failing_since`. `refused`
    counts what was not taken over, by the field at fault.
    """

    id: int
    member: int
    name: str
    """The name of its member here."""
    url: str
    log: str
    """The name of its log and the hash of its first key, as in `Origin.log`."""
    epoch: str | None
    seq: int
    round: int
    rereading: bool
    paused: bool
    judges: bool
    judged: int
    created_at: datetime
    caught_up_at: datetime | None
    failing_since: datetime | None
    failures: int
    trouble: UpstreamTrouble | None
    refused: Mapping[str, int]

    @property
    def state(self) -> str:
        """`paused`, the trouble, `reading` until it has caught up for the first time, else `following`."""
        if self.paused:
            return "paused"
        if self.trouble is not None:
            return str(self.trouble)
        return "reading" if self.rereading else "following"


class UpstreamChange(NamedTuple):
    """The state of one contribution in the feed of an upstream.

    Either it no longer matches there, and `gone` has the reason; or it is refused here, and `faults` names the fields;
    or `draft` is what to contribute here.
    """

    seq: int
    contribution: int
    """Its id there."""
    draft: Draft | None = None
    origin: Origin | None = None
    """None: it was first contributed there, by the member with the id `member` there."""
    member: int = 0
    standing: Standing = Standing.UNREVIEWED
    faults: tuple[str, ...] = ()
    gone: str | None = None
    withdrawal_reason: str | None = None


class UpstreamPage(NamedTuple):
    """A page of an upstream's feed in the log `epoch`; the next page starts after event `checkpoint`."""

    changes: tuple[UpstreamChange, ...]
    checkpoint: int
    more: bool
    epoch: str


def standing_from_upstream(standing: Standing) -> Standing:
    """The standing that a contribution gets here from its standing at its upstream.

    A confirmation there sets nothing, because the same member may confirm here, too. A retired contribution is only
    quarantined here, because a retired one would quarantine what other members contribute.
    """
    if standing in (Standing.QUARANTINED, Standing.RETIRED):
        return Standing.QUARANTINED
    return standing if standing is Standing.DISPUTED else Standing.UNREVIEWED


def combine_standings(own: Standing, theirs: Standing, *, ruled: bool) -> Standing:
    """The standing here, from the one by opinions and decisions here (`own`) and the one that an upstream sets.

    What does not match there does not match here. A dispute there counts until a case is decided here (`ruled`).
    """
    if theirs is Standing.QUARANTINED and own.matches:
        return theirs
    if theirs is Standing.DISPUTED and own.matches and not ruled:
        return theirs
    return own


def pause_before(failures: int) -> timedelta:
    """The pause after that many failures in a row: longer each time, and random, up to ten minutes."""
    longest = min(REQUEST_PERIOD.total_seconds() * (1 << min(failures, 10)), _LONGEST_PAUSE)
    return timedelta(seconds=longest * random.uniform(0.5, 1.0))
