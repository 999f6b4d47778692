"""Expected records: what the tables must hold according to the log, from a replay of its events."""

from __future__ import annotations

import json
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from enum import Enum
from itertools import compress, count

from hashdb.domain.accounts.members import MemberStatus
from hashdb.domain.accounts.users import LONGEST_SESSION, UserStatus
from hashdb.domain.contributions import Standing, Status
from hashdb.domain.ledger.commitments import COMMITMENT_OCTETS, logged_commitment, may_commit
from hashdb.domain.ledger.events import STANDING_AFTER, STATUS_AFTER, Action
from hashdb.domain.times import MICROSECOND


class NotLogged(Enum):
    """The mark of a field whose value no event logs."""

    NOT_LOGGED = "not logged"


NOT_LOGGED = NotLogged.NOT_LOGGED
Value = str | int | tuple[str, ...] | NotLogged | None
Record = tuple[Value, ...]
"""The values that a row must hold, in the order of `FIELDS` for its kind."""
Details = Mapping[str, object]
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
        "commitment",
    ),
    "opinion": ("contribution", "member", "opinion", "reason", "case", "replaced", "silent"),
    "case": ("contribution", "reason", "follows", "holds", "decision", "decided_by", "shadow"),
    "benign": ("built_in", "algorithms", "signals", "deleted"),
    "incident": ("label", "start", "end", "expires"),
    "proposal": ("act", "subject", "actor", "person"),
    "webhook": ("member",),
    "upstream": ("member",),
    "seed": ("secret", "retired"),
    "verification": ("actor", "size", "done", "outcome", "checkpoints", "findings"),
}
"""For each kind of subject with a table, the fields that events log.

`silent`: the opinion does not count, because its member is suspended. `holds`, `follows` and `shadow` are as in `Case`.
"""

_TAGGED = frozenset({"password", "second_factor"})
"""The secrets of a user, of which events log a tag (`secret_tag`)."""
_LONGEST_SESSION = LONGEST_SESSION // MICROSECOND
"""Microseconds."""
_PAGE_BITS = 10
"""The bits of an id that are its position within a page."""


class ExpectedRecords:
    """The records that result from the events replayed so far. Equal records are stored once, by number."""

    def __init__(self) -> None:
        """The records of an empty log."""
        # The number 0 stands for a row that does not exist.
        self._records: list[Record] = [()]
        self._numbers: dict[Record, int] = {(): 0}
        self._numbers_by_kind = {kind: _NumberById() for kind in FIELDS}
        self._commitments = _HashById()
        self._last_opinions: dict[Record, int] = {}
        """The id of the last opinion, by contribution and member."""
        self._suspended: set[int] = set()
        """The members that were ever suspended."""
        self.sessions = ExpectedSessions()
        self.signers: set[str] = set()
        """The public keys that events log."""
        self.epoch: Value = NOT_LOGGED

    def replay(self, at: int, actor: str, action: str, kind: str, id: object, details: str) -> None:
        """Replay the next event as it is stored: `at` in microseconds, `details` as JSON text.

        Events that change none of these records are ignored. Raises ValueError for details that are no JSON object, and
        for another commitment to the same signals.
        """
        if action not in _REPLAYED or kind != action.partition(".")[0] or type(id) is not int:
            return
        create_record, changed_fields = _CREATES.get(action), _CHANGES.get(action)
        logged = json.loads(details)
        if not isinstance(logged, dict):
            raise ValueError("the details of an event are an object")
        if kind == "user":
            self.sessions.replay(at, action, id, logged)
        elif kind in ("log", "signer"):
            self._identify_log(action, logged)
        elif action == Action.MEMBER_SUSPENDED:
            self._suspended.add(id)
        if create_record:
            self._store(kind, id, create_record(logged, actor, self._member_of_key(actor)))
            if action == Action.OPINION_GIVEN:
                self._replace_opinion(id)
        elif action in _DELETES:
            self._numbers_by_kind[kind].put(id, 0)
        elif changed_fields and (before := self._shared(kind, id)):
            changed = changed_fields(logged, actor)
            values = (changed.get(name, value) for name, value in zip(FIELDS[kind], before, strict=False))
            self._store(kind, id, tuple(values))
        if kind == "contribution" and (commitment := logged_commitment(logged)):
            if not may_commit(action, logged, committed=self.commitment(id) is not None):
                raise ValueError("an event commits to signals again, and none were added")
            self._commitments.put(id, commitment)

    def record(self, kind: str, id: int) -> Record:
        """The values that a row must hold; empty if there must be no row."""
        record = self._shared(kind, id)
        if kind == "contribution" and record:
            commitment = self.commitment(id)
            return (*record, None if commitment is None else commitment.hex())
        if kind == "opinion" and record and record[1] in self._suspended:
            # The member was suspended. The service changes `silent`, the last field, some time after the suspension or
            # the reinstatement.
            return (*record[:-1], NOT_LOGGED)
        return record

    def commitment(self, id: int) -> bytes | None:
        """The commitment to the signals of a contribution; None if no event has one."""
        return self._commitments.at(id)

    def ids(self, kind: str) -> Iterator[int]:
        """The ids of the rows that must exist, in order."""
        return self._numbers_by_kind[kind].ids()

    def _shared(self, kind: str, id: int) -> Record:
        """The values that a row must hold, without the commitment, which no two contributions share."""
        return self._records[self._numbers_by_kind[kind].at(id)]

    def _store(self, kind: str, id: int, record: Record) -> None:
        number = self._numbers.setdefault(record, len(self._records))
        if number == len(self._records):
            self._records.append(record)
        self._numbers_by_kind[kind].put(id, number)

    def _member_of_key(self, actor: str) -> Value:
        """The member of the key that acts."""
        kind, _, id = actor.partition(":")
        if kind == "key" and id.isdecimal() and (key := self.record("key", int(id))):
            member, *_ = key
            return member
        return NOT_LOGGED

    def _replace_opinion(self, id: int) -> None:
        """Mark the previous opinion of the same member on the same contribution as replaced."""
        contribution_and_member = self.record("opinion", id)[:2]
        replaced = self._last_opinions.get(contribution_and_member)
        if replaced is not None:
            # The last two fields are `replaced` and `silent`.
            self._store("opinion", replaced, (*self.record("opinion", replaced)[:-2], True, False))
        self._last_opinions[contribution_and_member] = id

    def _identify_log(self, action: str, details: Details) -> None:
        """Note the epoch of the log and the keys that sign it."""
        # Version 0.1.0 did not log the new epoch after a restore.
        if "epoch" in details or action == Action.LOG_RESTORED:
            self.epoch = _value(details, "epoch")
        if isinstance(key := details.get("key"), str):
            self.signers.add(key)


class ExpectedSessions:
    """The sessions that users began and did not end, by tag; of the last 30 days, the longest lifetime of a session."""

    def __init__(self) -> None:
        """No session is open."""
        self._open_sessions: dict[int, dict[str, int]] = {}
        """When each session began, in microseconds, by user and tag."""

    def replay(self, at: int, action: str, user: int, details: Details) -> None:
        """Replay the next event on a user."""
        sessions = self._open_sessions.setdefault(user, {})
        session, kept_session = details.get("session"), details.get("kept")
        if action == Action.USER_SIGNED_IN and isinstance(session, str):
            while sessions and sessions[oldest := next(iter(sessions))] < at - _LONGEST_SESSION:
                del sessions[oldest]
            sessions[session] = at
        elif action == Action.USER_SIGNED_OUT and isinstance(session, str):
            sessions.pop(session, None)
        elif action == Action.USER_DISABLED or isinstance(kept_session, str) or "password" in _field_names(details):
            self._open_sessions[user] = {tag: begun_at for tag, begun_at in sessions.items() if tag == kept_session}

    def begun_at(self, user: object, session: str) -> int | None:
        """When a user began the session with this tag, in microseconds; None where there is none, or it ended."""
        return self._open_sessions[user].get(session) if isinstance(user, int) and user in self._open_sessions else None


class _NumberById:
    """A number for each id, 0 where there is none; in arrays of 1,024 ids (pages), since ids are assigned in order."""

    def __init__(self) -> None:
        self._pages: dict[int, array[int]] = {}

    def put(self, id: int, number: int) -> None:
        page = self._pages.get(id >> _PAGE_BITS)
        if page is None:
            # An item of an array of type "I" has 4 octets.
            page = self._pages[id >> _PAGE_BITS] = array("I", bytes(4 << _PAGE_BITS))
        page[id & (1 << _PAGE_BITS) - 1] = number

    def at(self, id: int) -> int:
        page = self._pages.get(id >> _PAGE_BITS)
        return 0 if page is None else page[id & (1 << _PAGE_BITS) - 1]

    def ids(self) -> Iterator[int]:
        for page in sorted(self._pages):
            yield from compress(count(page << _PAGE_BITS), self._pages[page])


class _HashById:
    """A hash of 32 octets for each id; all are in one array, in the order in which their ids came."""

    def __init__(self) -> None:
        self._numbers = _NumberById()
        """The number of each id's hash in the array, counted from 1."""
        self._hashes = bytearray()

    def put(self, id: int, hash: bytes) -> None:
        number = self._numbers.at(id) or len(self._hashes) // COMMITMENT_OCTETS + 1
        self._numbers.put(id, number)
        self._hashes[(number - 1) * COMMITMENT_OCTETS : number * COMMITMENT_OCTETS] = hash

    def at(self, id: int) -> bytes | None:
        number = self._numbers.at(id)
        return bytes(self._hashes[(number - 1) * COMMITMENT_OCTETS : number * COMMITMENT_OCTETS]) if number else None


def _value(details: Details, name: str) -> Value:
    value = details.get(name, NOT_LOGGED)
    if isinstance(value, list):
        return tuple(map(str, value))
    return value if value is None or isinstance(value, str | int | NotLogged) else str(value)


def _record(*names: str, **constants: Value) -> Callable[[Details, str, Value], Record]:
    """Returns a function that makes a record from the details with these names, followed by constants."""
    rest = tuple(constants.values())
    return lambda details, actor, member: (*[_value(details, name) for name in names], *rest)


def _new_contribution(details: Details, actor: str, member: Value) -> Record:
    initial = (str(Status.ACTIVE), False, None, NOT_LOGGED, str(Standing.UNREVIEWED), False)
    return (*initial, *[_value(details, name) for name in FIELDS["contribution"][len(initial) : -1]])


def _new_key(details: Details, actor: str, member: Value) -> Record:
    logged = (_value(details, name) for name in ("member", "scopes", "expires_at"))
    return *logged, bool(details.get("hides_distances")), _value(details, "secret_tag"), False


def _new_user(details: Details, actor: str, member: Value) -> Record:
    return _value(details, "role"), str(UserStatus.ACTIVE), _value(details, "password_tag"), None


def _new_opinion(details: Details, actor: str, member: Value) -> Record:
    logged = (_value(details, name) for name in ("opinion", "reason", "case"))
    return _value(details, "contribution"), member, *logged, False, False


def _new_case(details: Details, actor: str, member: Value) -> Record:
    follows = _value(details, "follows") if "follows" in details else None
    contribution, reason, holds = (_value(details, name) for name in ("contribution", "reason", "holds"))
    return contribution, reason, follows, holds, None, None, None


def _new_proposal(details: Details, actor: str, member: Value) -> Record:
    subject = next((f"{kind}:{id}" for kind, id in details.items() if kind != "act"), NOT_LOGGED)
    return _value(details, "act"), subject, actor, f"member:{member}" if actor.startswith("key:") else actor


def _ended_verification(details: Details, actor: str, member: Value) -> Record:
    return actor, *(_value(details, name) for name in FIELDS["verification"][1:])


def _sets(**fields: Value) -> Callable[[Details, str], Mapping[str, Value]]:
    """Returns a function that returns these fields, whatever the details of the event."""
    return lambda details, actor: fields


def _amended_fields(details: Details, actor: str) -> Mapping[str, Value]:
    """The new values of the fields that an event lists; where the event has no value, it is unknown."""
    return {name: _value(details, name) for name in _field_names(details)}


def _field_names(details: Details) -> Sequence[str]:
    fields = details.get("fields")
    return list(map(str, fields)) if isinstance(fields, list) else ()


def _amended_user(details: Details, actor: str) -> Mapping[str, Value]:
    """The same for a user: of a password and a second factor, the event has the tag."""
    tags = {name: _value(details, f"{name}_tag") for name in _field_names(details) if name in _TAGGED}
    return {**_amended_fields(details, actor), **tags}


def _amended_contribution(details: Details, actor: str) -> Mapping[str, Value]:
    """The same for a contribution; where the clocks of hosts differ, one may extend what another logged as expired."""
    fields = _amended_fields(details, actor)
    return {**fields, "expired": NOT_LOGGED} if "expires_at" in fields else fields


def _sets_status(status: Status) -> Callable[[Details, str], Mapping[str, Value]]:
    return _sets(status=str(status), expired=status is Status.EXPIRED or NOT_LOGGED)


def _withdrawn(details: Details, actor: str) -> Mapping[str, Value]:
    return {
        "status": str(Status.WITHDRAWN),
        "withdrawn": True,
        "reason": _value(details, "reason"),
        "expired": NOT_LOGGED,
    }


def _decided(details: Details, actor: str) -> Mapping[str, Value]:
    shadow = _value(details, "shadow") if "shadow" in details else None
    return {"decision": _value(details, "decision"), "decided_by": actor, "shadow": shadow}


_Create = Callable[[Details, str, Value], Record]
"""Makes the record of a new row from the details of its event, its actor, and the member of the actor's key."""
_Change = Callable[[Details, str], Mapping[str, Value]]
"""Returns the fields that an event changes, with the new values, from its details and its actor."""
_CREATES: Mapping[str, _Create] = {
    Action.MEMBER_ADDED: _record("kind", status=str(MemberStatus.ACTIVE)),
    Action.KEY_ISSUED: _new_key,
    Action.USER_ADDED: _new_user,
    Action.CONTRIBUTION_ADDED: _new_contribution,
    Action.OPINION_GIVEN: _new_opinion,
    Action.CASE_OPENED: _new_case,
    Action.BENIGN_ADDED: _record("built_in", "algorithms", "signals", deleted=False),
    Action.INCIDENT_ADDED: _record(*FIELDS["incident"]),
    Action.PROPOSAL_MADE: _new_proposal,
    Action.WEBHOOK_ADDED: _record("member"),
    Action.UPSTREAM_ADDED: _record("member"),
    Action.SEED_ADDED: _record("secret_tag", retired=False),
    Action.VERIFICATION_ENDED: _ended_verification,
}
_CHANGES: Mapping[str, _Change] = {
    Action.MEMBER_AMENDED: _amended_fields,
    Action.MEMBER_SUSPENDED: _sets(status=str(MemberStatus.SUSPENDED)),
    Action.MEMBER_REINSTATED: _sets(status=str(MemberStatus.ACTIVE)),
    Action.KEY_REVOKED: _sets(revoked=True),
    Action.USER_AMENDED: _amended_user,
    Action.USER_DISABLED: _sets(status=str(UserStatus.DISABLED)),
    Action.USER_ENABLED: _sets(status=str(UserStatus.ACTIVE)),
    Action.CONTRIBUTION_AMENDED: _amended_contribution,
    **{action: _sets_status(status) for action, status in STATUS_AFTER.items()},
    Action.CONTRIBUTION_WITHDRAWN: _withdrawn,
    Action.CONTRIBUTION_ERASED: _sets(erased=True),
    Action.CONTRIBUTION_COMMITTED: _sets(),
    **{action: _sets(standing=str(standing)) for action, standing in STANDING_AFTER.items()},
    Action.CASE_HELD: _sets(holds="yes"),
    Action.CASE_DECIDED: _decided,
    # The signals of an entry are deleted once it suppresses nothing.
    Action.BENIGN_DELETED: _sets(deleted=True, algorithms=NOT_LOGGED, signals=NOT_LOGGED),
    Action.INCIDENT_AMENDED: _amended_fields,
    Action.SEED_RETIRED: _sets(secret=None, retired=True),
}
_DELETES = frozenset(
    {Action.PROPOSAL_APPROVED, Action.PROPOSAL_DROPPED, Action.PROPOSAL_EXPIRED}
    | {Action.WEBHOOK_DELETED, Action.UPSTREAM_REMOVED}
)
_REPLAYED = frozenset(
    {*_CREATES, *_CHANGES, *_DELETES, Action.USER_SIGNED_IN, Action.USER_SIGNED_OUT}
    | {Action.SIGNER_ADDED, Action.LOG_BEGUN, Action.LOG_RESTORED}
)
