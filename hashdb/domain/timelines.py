"""Timeline: all that happened to a contribution, in order, with what was said and what it was before."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from hashdb.domain.audit import Details


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened: an event of the log, or that a member had the contribution as a match.

    `seq` is the number of the event, None where it is none. `note` is what was written, `before` the old values of
    what was changed; neither is in the log.
    """

    at: datetime
    what: str
    who: str
    seq: int | None = None
    details: Details = field(default_factory=dict)
    note: str | None = None
    before: Mapping[str, object] = field(default_factory=dict)
