"""Events: the entries of the log, and their leaves in the Merkle tree."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple, TypeGuard

from hashdb.domain.contributions import Standing, Status
from hashdb.domain.times import format_instant


class Head(NamedTuple):
    """The seq and time of the last event, and which log this is."""

    seq: int
    at: datetime
    epoch: str

    def continues(self, known: Head | None) -> TypeGuard[Head]:
        """Whether the log with this head may be the log with the earlier head `known`, grown since.

        It is not if there is no earlier head (None), or one of another epoch.
        """
        return known is not None and known.epoch == self.epoch and known.seq <= self.seq


class Action(StrEnum):
    """What an event records, in the past tense.

    The table of events in docs/api.md has the meaning and the details of each action.
    """

    CONTRIBUTION_ADDED = "contribution.added"
    CONTRIBUTION_AMENDED = "contribution.amended"
    CONTRIBUTION_WITHDRAWN = "contribution.withdrawn"
    CONTRIBUTION_EXPIRED = "contribution.expired"
    CONTRIBUTION_SUSPENDED = "contribution.suspended"
    CONTRIBUTION_REINSTATED = "contribution.reinstated"
    CONTRIBUTION_ERASED = "contribution.erased"
    CONTRIBUTION_CONFIRMED = "contribution.confirmed"
    CONTRIBUTION_DISPUTED = "contribution.disputed"
    CONTRIBUTION_QUARANTINED = "contribution.quarantined"
    CONTRIBUTION_RETIRED = "contribution.retired"
    CONTRIBUTION_CLEARED = "contribution.cleared"
    CONTRIBUTION_COMMITTED = "contribution.committed"
    OPINION_GIVEN = "opinion.given"
    CASE_OPENED = "case.opened"
    CASE_HELD = "case.held"
    CASE_DECIDED = "case.decided"
    CASE_NOTED = "case.noted"
    CASE_TAKEN_OVER = "case.taken-over"
    MEMBER_ADDED = "member.added"
    MEMBER_AMENDED = "member.amended"
    MEMBER_SUSPENDED = "member.suspended"
    MEMBER_REINSTATED = "member.reinstated"
    KEY_ISSUED = "key.issued"
    KEY_REVOKED = "key.revoked"
    KEY_SUSPECTED = "key.suspected"
    USER_ADDED = "user.added"
    USER_AMENDED = "user.amended"
    USER_DISABLED = "user.disabled"
    USER_ENABLED = "user.enabled"
    USER_SIGNED_IN = "user.signed-in"
    USER_SIGNED_OUT = "user.signed-out"
    USER_REFUSED = "user.refused"
    LISTING_EXPORTED = "listing.exported"
    LISTING_READ = "listing.read"
    BACKUP_MADE = "backup.made"
    BACKUP_VERIFIED = "backup.verified"
    BENIGN_ADDED = "benign.added"
    BENIGN_DELETED = "benign.deleted"
    INCIDENT_ADDED = "incident.added"
    INCIDENT_AMENDED = "incident.amended"
    PROPOSAL_MADE = "proposal.made"
    PROPOSAL_APPROVED = "proposal.approved"
    PROPOSAL_DROPPED = "proposal.dropped"
    PROPOSAL_EXPIRED = "proposal.expired"
    WEBHOOK_ADDED = "webhook.added"
    WEBHOOK_AMENDED = "webhook.amended"
    WEBHOOK_DELETED = "webhook.deleted"
    WEBHOOK_RENEWED = "webhook.renewed"
    WEBHOOK_DISABLED = "webhook.disabled"
    UPSTREAM_ADDED = "upstream.added"
    UPSTREAM_AMENDED = "upstream.amended"
    UPSTREAM_REMOVED = "upstream.removed"
    SETTINGS_CHANGED = "settings.changed"
    SIGNER_ADDED = "signer.added"
    SEED_ADDED = "seed.added"
    SEED_RETIRED = "seed.retired"
    SET_COMMITTED = "set.committed"
    LOG_BEGUN = "log.begun"
    LOG_RESTORED = "log.restored"
    VERIFICATION_ENDED = "verification.ended"
    FEED_READ = "feed.read"
    AUTH_REFUSED = "auth.refused"
    COUNTS_SEALED = "counts.sealed"
    REPORT_EXPORTED = "report.exported"

    @property
    def changes_feed(self) -> bool:
        """Whether the active contributions, or what a reader sees of them, may differ after it."""
        return self.startswith("contribution.") and self is not Action.CONTRIBUTION_ERASED


STATUS_EVENTS = {
    Status.ACTIVE: Action.CONTRIBUTION_REINSTATED,
    Status.WITHDRAWN: Action.CONTRIBUTION_WITHDRAWN,
    Status.EXPIRED: Action.CONTRIBUTION_EXPIRED,
    Status.SUSPENDED: Action.CONTRIBUTION_SUSPENDED,
}
"""The event that logs the new status of a contribution."""
STANDING_EVENTS = {
    Standing.UNREVIEWED: Action.CONTRIBUTION_CLEARED,
    Standing.CONFIRMED: Action.CONTRIBUTION_CONFIRMED,
    Standing.DISPUTED: Action.CONTRIBUTION_DISPUTED,
    Standing.QUARANTINED: Action.CONTRIBUTION_QUARANTINED,
    Standing.RETIRED: Action.CONTRIBUTION_RETIRED,
}
"""The event that logs the new standing of a contribution."""
STATUS_AFTER: Mapping[str, Status] = {
    Action.CONTRIBUTION_ADDED: Status.ACTIVE,
    **{action: status for status, action in STATUS_EVENTS.items()},
}
"""The status of a contribution after an event. Other events do not change the status."""
STANDING_AFTER: Mapping[str, Standing] = {
    Action.CONTRIBUTION_ADDED: Standing.UNREVIEWED,
    **{action: standing for standing, action in STANDING_EVENTS.items()},
}
"""The standing of a contribution after an event. Other events do not change the standing."""
ENDING_ACTIONS = tuple(action for action in Action if STATUS_AFTER.get(action, Status.ACTIVE) is not Status.ACTIVE)
"""The events after which a contribution is not active."""
FEED_ACTIONS = tuple(action for action in Action if action.changes_feed)
"""The events that change the feed."""
REVERSING_ACTIONS = tuple(
    action
    for action in Action
    if STATUS_AFTER.get(action) is Status.WITHDRAWN or not STANDING_AFTER.get(action, Standing.UNREVIEWED).matches
)
"""The events that reverse matches of a contribution; its expiry or a suspension does not."""


class ContributionState(NamedTuple):
    """The state of a contribution after its events: status (None before it was added) and standing."""

    status: Status | None = None
    standing: Standing = Standing.UNREVIEWED

    @property
    def matches(self) -> bool:
        """Whether a contribution in this state matches."""
        return self.status is Status.ACTIVE and self.standing.matches

    def after(self, action: str) -> ContributionState:
        """The state after one more event.

        >>> ContributionState().after("contribution.added").after("contribution.expired").status
        <Status.EXPIRED: 'expired'>
        """
        return _after(self, action)


@lru_cache(maxsize=1_024)
def _after(state: ContributionState, action: str) -> ContributionState:
    # Cached: there are few states and actions, and a report takes millions of steps.
    return ContributionState(STATUS_AFTER.get(action, state.status), STANDING_AFTER.get(action, state.standing))


ADDED_STATE = ContributionState().after(Action.CONTRIBUTION_ADDED)
"""The state of a contribution that nothing changed since it was added."""

Detail = str | int | list[str] | None
Details = Mapping[str, Detail]
"""The details of an event, by field."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """What a service logs: one action on one subject, by its `kind` and `id` (`contribution`, 17)."""

    action: Action
    kind: str
    id: int
    details: Details

    @property
    def subject(self) -> str:
        """The form of the log, kind:id."""
        return f"{self.kind}:{self.id}"


@dataclass(frozen=True, slots=True)
class Event:
    """An entry of the log with its seq, time, actor and leaf, which anyone may verify."""

    seq: int
    at: datetime
    actor: str
    action: str
    kind: str
    id: int
    details: Details
    leaf: bytes

    @property
    def subject(self) -> str:
        """The subject in the form of the log, kind:id."""
        return f"{self.kind}:{self.id}"

    def integer(self, name: str) -> int:
        """A number of the details; 0 if they have none with this name."""
        value = self.details.get(name)
        return value if isinstance(value, int) else 0

    @property
    def text(self) -> str:
        """The canonical JSON of the event, from which the leaf is computed."""
        return event_text(self.seq, self.at, self.actor, self.action, self.subject, canonical(self.details))

    @property
    def computed_leaf(self) -> bytes:
        """The leaf computed from the text; `leaf` is the stored one."""
        return leaf_of_event(self.text)


def leaf(seq: int, at: datetime, actor: str, action: str, subject: str, details: str) -> bytes:
    """The leaf of an event, from the canonical JSON of its details."""
    return leaf_of_event(event_text(seq, at, actor, action, subject, details))


def leaf_of_event(text: str) -> bytes:
    """SHA-256(0x00 ‖ the event as RFC 8785 canonical JSON): the event's leaf in the tree of RFC 9162.

    Details hold ASCII keys, strings, integers below 2⁵³ and lists of strings, for which sorted compact JSON is
    RFC 8785's form (a test compares them).
    """
    return hashlib.sha256(b"\x00" + text.encode()).digest()


def event_text(seq: int, at: datetime, actor: str, action: str, subject: str, details: str) -> str:
    """The canonical JSON of an event, from the canonical JSON of its details."""
    return (
        f'{{"action":{_quoted(action)},"actor":{_quoted(actor)},"at":"{format_instant(at)}","details":{details}'
        f',"seq":{seq},"subject":{_quoted(subject)}}}'
    )


def secret_tag(secret: bytes) -> str:
    """128 bits of a digest, in hex, by which an event names a secret that a table keeps.

    Use it only for secrets with at least 128 random bits, like a salted password hash: they cannot be computed from it.
    """
    return hashlib.sha256(b"hashdb tag\0" + secret).hexdigest()[:32]


canonical = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode
"""Encodes an object as sorted compact JSON."""
_quoted = json.encoder.encode_basestring


@dataclass(frozen=True, slots=True)
class HistoryEntry:
    """One row of a history: an event of the log, or a hit of a member.

    `action` is that of the event, or `hit`; `actor` is that of the event, or the member that had the hit, as kind:id.
    `seq` is None where the row is no event. `note` is the text of a note, `before` has the old values of changed
    fields; neither is in the log.
    """

    at: datetime
    action: str
    actor: str
    seq: int | None = None
    details: Details = field(default_factory=dict)
    note: str | None = None
    before: Mapping[str, object] = field(default_factory=dict)
