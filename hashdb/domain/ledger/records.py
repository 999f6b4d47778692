"""Records: what the log alone says that the tables beside it must hold; events replayed, a small number an id."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from enum import Enum

from hashdb.domain.accounts.members import MemberStatus
from hashdb.domain.accounts.users import LONGEST, UserStatus
from hashdb.domain.contributions import Standing, Status
from hashdb.domain.ledger.events import STANDING_AFTER, STATUS_AFTER, Action


class Unsaid(Enum):
    """The mark of a field of which no event tells."""

    UNSAID = "unsaid"


UNSAID = Unsaid.UNSAID
Said = str | int | tuple[str, ...] | Unsaid | None
Record = tuple[Said, ...]
"""What a row must hold, in the order of its kind's fields."""
Told = Mapping[str, object]
"""The details of an event."""

FIELDS: Mapping[str, tuple[str, ...]] = {
    "member": ("kind", "status"),
    "key": ("member", "scopes", "expires_at", "hides_distances", "secret", "revoked"),
    "user": ("role", "status", "password", "second_factor"),
    "contribution": (
        "status",
        "withdrawn",
        "reason",
        "expired",
        "standing",
        "erased",
        "member",
        "labels",
        "severity",
        "basis",
        "media",
    ),
    "opinion": ("contribution", "member", "opinion", "reason", "case", "replaced", "silent"),
    "case": ("contribution", "reason", "follows", "holds", "decision", "decided_by", "shadow"),
    "benign": ("built_in", "algorithms", "signals", "deleted"),
    "incident": ("label", "start", "end", "expires"),
    "proposal": ("act", "subject", "actor", "person"),
    "webhook": ("member",),
    "verification": ("actor", "size", "done", "outcome", "checkpoints", "findings"),
}
"""Of each kind of subject that has a table, what events tell of it."""

_TAGGED = frozenset({"password", "second_factor"})
_LONGEST = LONGEST // timedelta(microseconds=1)
_PAGE = 12
"""Bits of an id within its page."""


class ExpectedRecords:
    """Takes the events in order, and tells what they add up to."""

    def __init__(self) -> None:
        """Of an empty log."""
        self._records: list[Record] = [()]
        self._numbers: dict[Record, int] = {(): 0}
        self._places = {kind: _Places() for kind in FIELDS}
        self._last: dict[Record, int] = {}
        self._suspended: set[int] = set()
        self.sessions = ExpectedSessions()
        self.signers: set[str] = set()
        """The public keys of which events tell."""
        self.epoch: Said = UNSAID

    def take(self, at: int, actor: str, action: str, kind: str, id: object, details: str) -> None:
        """The next event as it is stored: its time in microseconds, its details as the text of their JSON.

        Events that change none of these kinds are passed over. Raises ValueError where the details are no JSON.
        """
        if action not in _TAKEN or kind != action.partition(".")[0] or type(id) is not int:
            return
        begins, changes = _BEGINS.get(action), _CHANGES.get(action)
        told = json.loads(details)
        if not isinstance(told, dict):
            raise ValueError("the details of an event are an object")
        if kind == "user":
            self.sessions.take(at, action, id, told)
        elif kind in ("log", "signer"):
            self._name(action, told)
        elif action == Action.MEMBER_SUSPENDED:
            self._suspended.add(id)
        if begins:
            self._put(kind, id, begins(told, actor, self._member(actor)))
            if action == Action.OPINION_GIVEN:
                self._replace(id)
        elif action in _ENDS:
            self._places[kind].put(id, 0)
        elif changes and (before := self.of(kind, id)):
            now = changes(told, actor)
            self._put(kind, id, tuple(now.get(name, said) for name, said in zip(FIELDS[kind], before, strict=True)))

    def of(self, kind: str, id: int) -> Record:
        """What the row must hold; empty where there must be none."""
        record = self._records[self._places[kind].at(id)]
        if kind == "opinion" and record and record[1] in self._suspended:
            # The service sets and clears it some time after the member was suspended and reinstated.
            return (*record[:-1], UNSAID)
        return record

    def ids(self, kind: str) -> Iterator[int]:
        """The ids of the rows that there must be, in order."""
        return self._places[kind].ids()

    def _put(self, kind: str, id: int, record: Record) -> None:
        number = self._numbers.setdefault(record, len(self._records))
        if number == len(self._records):
            self._records.append(record)
        self._places[kind].put(id, number)

    def _member(self, actor: str) -> Said:
        """The member whose key an actor is."""
        kind, _, id = actor.partition(":")
        if kind == "key" and id.isdecimal() and (key := self.of("key", int(id))):
            return key[0]
        return UNSAID

    def _replace(self, id: int) -> None:
        """An opinion takes the place of what its member said before of the same contribution."""
        on = self.of("opinion", id)[:2]
        before = self._last.get(on)
        if before is not None:
            self._put("opinion", before, (*self.of("opinion", before)[:-2], True, False))
        self._last[on] = id

    def _name(self, action: str, told: Told) -> None:
        """Which log this is, and which keys sign it."""
        # Version 0.1.0 restored without telling the new epoch.
        if "epoch" in told or action == Action.LOG_RESTORED:
            self.epoch = _said(told, "epoch")
        if isinstance(key := told.get("key"), str):
            self.signers.add(key)


class ExpectedSessions:
    """The sessions that users began and did not end, by their tags; of the last 30 days, since none lasts longer."""

    def __init__(self) -> None:
        """None is open."""
        self._open: dict[int, dict[str, int]] = {}

    def take(self, at: int, action: str, user: int, told: Told) -> None:
        """The next event on a user."""
        mine = self._open.setdefault(user, {})
        session, kept = told.get("session"), told.get("kept")
        if action == Action.USER_SIGNED_IN and isinstance(session, str):
            while mine and mine[oldest := next(iter(mine))] < at - _LONGEST:
                del mine[oldest]
            mine[session] = at
        elif action == Action.USER_SIGNED_OUT and isinstance(session, str):
            mine.pop(session, None)
        elif action == Action.USER_DISABLED or isinstance(kept, str) or "password" in _fields(told):
            self._open[user] = {one: begun for one, begun in mine.items() if one == kept}

    def begun_at(self, user: object, session: str) -> int | None:
        """When a user began a session, in microseconds; None where it began none of that tag, or ended it."""
        return self._open[user].get(session) if isinstance(user, int) and user in self._open else None


class _Places:
    """A number for each id, 0 where there is none: ids are given in order, so they lie close together."""

    def __init__(self) -> None:
        self._pages: dict[int, array[int]] = {}

    def put(self, id: int, number: int) -> None:
        page = self._pages.get(id >> _PAGE)
        if page is None:
            page = self._pages[id >> _PAGE] = array("I", bytes(4 << _PAGE))
        page[id & (1 << _PAGE) - 1] = number

    def at(self, id: int) -> int:
        page = self._pages.get(id >> _PAGE)
        return 0 if page is None else page[id & (1 << _PAGE) - 1]

    def ids(self) -> Iterator[int]:
        for first in sorted(self._pages):
            yield from ((first << _PAGE) + place for place, number in enumerate(self._pages[first]) if number)


def _said(told: Told, name: str) -> Said:
    value = told.get(name, UNSAID)
    if isinstance(value, list):
        return tuple(map(str, value))
    return value if value is None or isinstance(value, str | int | Unsaid) else str(value)


def _of(*names: str, **more: Said) -> Callable[[Told, str, Said], Record]:
    """A record that begins with what an event says under these names, and goes on with what it means."""
    rest = tuple(more.values())
    return lambda told, actor, member: (*[_said(told, name) for name in names], *rest)


def _contribution(told: Told, actor: str, member: Said) -> Record:
    begun = (str(Status.ACTIVE), False, None, UNSAID, str(Standing.UNREVIEWED), False)
    return (*begun, *[_said(told, name) for name in FIELDS["contribution"][len(begun) :]])


def _key(told: Told, actor: str, member: Said) -> Record:
    begun = (_said(told, name) for name in ("member", "scopes", "expires_at"))
    return *begun, bool(told.get("hides_distances")), _said(told, "secret_tag"), False


def _user(told: Told, actor: str, member: Said) -> Record:
    return _said(told, "role"), str(UserStatus.ACTIVE), _said(told, "password_tag"), None


def _opinion(told: Told, actor: str, member: Said) -> Record:
    begun = (_said(told, name) for name in ("opinion", "reason", "case"))
    return _said(told, "contribution"), member, *begun, False, False


def _case(told: Told, actor: str, member: Said) -> Record:
    follows = _said(told, "follows") if "follows" in told else None
    return _said(told, "contribution"), _said(told, "reason"), follows, _said(told, "holds"), None, None, None


def _proposal(told: Told, actor: str, member: Said) -> Record:
    subject = next((f"{kind}:{id}" for kind, id in told.items() if kind != "act"), UNSAID)
    return _said(told, "act"), subject, actor, f"member:{member}" if actor.startswith("key:") else actor


def _verification(told: Told, actor: str, member: Said) -> Record:
    return actor, *(_said(told, name) for name in FIELDS["verification"][1:])


def _now(**fields: Said) -> Callable[[Told, str], Mapping[str, Said]]:
    """What an event means, whatever its details."""
    return lambda told, actor: fields


def _amended(told: Told, actor: str) -> Mapping[str, Said]:
    """What fields are now that the event names; not every one names what they are."""
    return {name: _said(told, name) for name in _fields(told)}


def _fields(told: Told) -> Sequence[str]:
    fields = told.get("fields")
    return list(map(str, fields)) if isinstance(fields, list) else ()


def _amended_user(told: Told, actor: str) -> Mapping[str, Said]:
    """The same; of a password and a second factor the event has the tag."""
    return {**_amended(told, actor), **{name: _said(told, f"{name}_tag") for name in _fields(told) if name in _TAGGED}}


def _amended_contribution(told: Told, actor: str) -> Mapping[str, Said]:
    """The same; where hosts' clocks differ, what one told to have expired may yet be given more time by another."""
    found = _amended(told, actor)
    return {**found, "expired": UNSAID} if "expires_at" in found else found


def _ended(status: Status) -> Callable[[Told, str], Mapping[str, Said]]:
    return _now(status=str(status), expired=status is Status.EXPIRED or UNSAID)


def _withdrawn(told: Told, actor: str) -> Mapping[str, Said]:
    return {"status": str(Status.WITHDRAWN), "withdrawn": True, "reason": _said(told, "reason"), "expired": UNSAID}


def _decided(told: Told, actor: str) -> Mapping[str, Said]:
    shadow = _said(told, "shadow") if "shadow" in told else None
    return {"decision": _said(told, "decision"), "decided_by": actor, "shadow": shadow}


_BEGINS: Mapping[str, Callable[[Told, str, Said], Record]] = {
    Action.MEMBER_ADDED: _of("kind", status=str(MemberStatus.ACTIVE)),
    Action.KEY_ISSUED: _key,
    Action.USER_ADDED: _user,
    Action.CONTRIBUTION_ADDED: _contribution,
    Action.OPINION_GIVEN: _opinion,
    Action.CASE_OPENED: _case,
    Action.BENIGN_ADDED: _of("built_in", "algorithms", "signals", deleted=False),
    Action.INCIDENT_ADDED: _of(*FIELDS["incident"]),
    Action.PROPOSAL_MADE: _proposal,
    Action.WEBHOOK_ADDED: _of("member"),
    Action.VERIFICATION_ENDED: _verification,
}
_CHANGES: Mapping[str, Callable[[Told, str], Mapping[str, Said]]] = {
    Action.MEMBER_AMENDED: _amended,
    Action.MEMBER_SUSPENDED: _now(status=str(MemberStatus.SUSPENDED)),
    Action.MEMBER_REINSTATED: _now(status=str(MemberStatus.ACTIVE)),
    Action.KEY_REVOKED: _now(revoked=True),
    Action.USER_AMENDED: _amended_user,
    Action.USER_DISABLED: _now(status=str(UserStatus.DISABLED)),
    Action.USER_ENABLED: _now(status=str(UserStatus.ACTIVE)),
    Action.CONTRIBUTION_AMENDED: _amended_contribution,
    **{action: _ended(status) for action, status in STATUS_AFTER.items()},
    Action.CONTRIBUTION_WITHDRAWN: _withdrawn,
    Action.CONTRIBUTION_ERASED: _now(erased=True),
    **{action: _now(standing=str(standing)) for action, standing in STANDING_AFTER.items()},
    Action.CASE_HELD: _now(holds="yes"),
    Action.CASE_DECIDED: _decided,
    # What an entry held goes once nothing is masked by it any more.
    Action.BENIGN_DELETED: _now(deleted=True, algorithms=UNSAID, signals=UNSAID),
    Action.INCIDENT_AMENDED: _amended,
}
_ENDS = frozenset({Action.PROPOSAL_APPROVED, Action.PROPOSAL_DROPPED, Action.PROPOSAL_EXPIRED, Action.WEBHOOK_DELETED})
_TAKEN = frozenset(
    {*_BEGINS, *_CHANGES, *_ENDS, Action.USER_SIGNED_IN, Action.USER_SIGNED_OUT}
    | {Action.SIGNER_ADDED, Action.LOG_BEGUN, Action.LOG_RESTORED}
)
