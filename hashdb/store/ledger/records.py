"""The rows of tables as they are stored, in the order of their ids, to be compared with the log."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Select,
    Table,
    Text,
    and_,
    bindparam,
    cast,
    func,
    select,
    type_coerce,
    union_all,
)
from sqlalchemy.types import NullType

from hashdb.domain.ledger.events import secret_tag
from hashdb.domain.ledger.records import FIELDS
from hashdb.domain.times import format_instant, from_microseconds
from hashdb.store.contributions.filters import MEDIA
from hashdb.store.repositories import NOW, Repository
from hashdb.store.tables import (
    benign,
    benign_signals,
    benign_text_signals,
    cases,
    contributions,
    incidents,
    keys,
    members,
    opinions,
    proposals,
    requests,
    seeds,
    sessions,
    upstreams,
    users,
    verifications,
    webhooks,
)

_AT_ONCE = 1_000
"""Rows that are fetched at a time."""
Record = tuple[int, tuple[object, ...]]
"""The id of a row, and its fields in the order that `domain.ledger.records` has for its kind."""


class StoredRecords(Repository):
    """Rows within one transaction."""

    def pages(self, kind: str, now: datetime, size: int = 8_192) -> Iterator[list[Record]]:
        """All rows of a kind by id, `size` at a time, with the fields that `domain.ledger.records` names.

        Someone may have edited the database, so a value may have any type.
        """
        rows = self._connection.execute(_FIRST_PAGES[kind], {"now": now, "size": size}).all()
        while rows:
            yield [_record(kind, row) for row in rows]
            if len(rows) < size:
                return
            parameters = {"now": now, "size": size, "after": rows[-1][0]}
            rows = self._connection.execute(_NEXT_PAGES[kind], parameters).all()

    def sessions(self) -> Iterator[tuple[object, ...]]:
        """All sessions as they are stored: id, user_id, digest, complete, created_at."""
        yield from map(tuple, self._connection.execute(_SESSIONS.execution_options(yield_per=_AT_ONCE)))

    def answers(self) -> Iterator[tuple[object, ...]]:
        """All answers that are stored for repeated requests, as they are stored: member_id, answer."""
        yield from map(tuple, self._connection.execute(_ANSWERS.execution_options(yield_per=_AT_ONCE)))


# The functions below convert a value to the form that the events have. A value that the service never writes stays as
# it is, so that it differs from the log.


def _record(kind: str, row: Sequence[object]) -> Record:
    id, *fields = row
    for place, decode in _DECODED.get(kind, ()):
        fields[place] = decode(fields[place])
    assert isinstance(id, int), "the databases let a primary key be nothing else"
    return id, tuple(fields)


def _words(value: object) -> object:
    return tuple(value.split()) if isinstance(value, str) else value


def _sorted(value: object) -> object:
    return tuple(sorted(value.split())) if isinstance(value, str) else value


def _instant(value: object) -> object:
    try:
        return format_instant(from_microseconds(value)) if isinstance(value, int) else value
    except OverflowError:
        return value


def _hex(value: object) -> object:
    return value.hex() if isinstance(value, bytes) else value


def _flag(value: object) -> object:
    return bool(value) if value in (0, 1) else value


def _yes(value: object) -> object:
    return ("no", "yes")[value == 1] if value in (0, 1) else value


def _tag(value: object) -> object:
    """The tag that events have in place of a secret or a long text (`secret_tag`)."""
    if isinstance(value, str):
        value = value.encode("utf-8", "surrogatepass")
    return secret_tag(value) if isinstance(value, bytes) else value


_DECODERS: Mapping[str, Mapping[str, Callable[[object], object]]] = {
    "key": {"scopes": _sorted, "expires_at": _instant, "hides_distances": _flag, "secret": _tag},
    "user": {"password": _tag, "second_factor": _tag},
    "contribution": {"labels": _words, "commitment": _hex},
    "opinion": {"replaced": _flag, "silent": _flag},
    "case": {"holds": _yes, "shadow": _words},
    "benign": {"algorithms": _sorted},
    "incident": {"start": _instant, "end": _instant, "expires": _yes},
    "seed": {"secret": _tag},
    "verification": {"findings": _tag},
}
"""For a kind, the fields in `FIELDS` that are decoded, and how."""
_DECODED: Mapping[str, Sequence[tuple[int, Callable[[object], object]]]] = {
    kind: [(FIELDS[kind].index(name), decode) for name, decode in decoders.items()]
    for kind, decoders in _DECODERS.items()
}
"""For a kind, the positions in the fields (without the id) that are decoded, and how."""


def _raw(table: Table, *names: str) -> list[ColumnElement[object]]:
    """Columns as they are stored, without conversion."""
    return [type_coerce(column, NullType()) for column in table.c[names]]


_SIGNALS_BY_ENTRY_AND_ALGORITHM = union_all(
    *(
        select(table.c.benign_id, table.c.algorithm, func.count().label("signals")).group_by(
            table.c.benign_id, table.c.algorithm
        )
        for table in (benign_signals, benign_text_signals)
    )
).subquery()
_SIGNALS_BY_ENTRY = (
    select(
        _SIGNALS_BY_ENTRY_AND_ALGORITHM.c.benign_id,
        func.aggregate_strings(_SIGNALS_BY_ENTRY_AND_ALGORITHM.c.algorithm, " ").label("algorithms"),
        cast(func.sum(_SIGNALS_BY_ENTRY_AND_ALGORITHM.c.signals), BigInteger).label("signals"),
    )
    .group_by(_SIGNALS_BY_ENTRY_AND_ALGORITHM.c.benign_id)
    .subquery()
)
_EXPIRED = and_(contributions.c.expires_at.is_not(None), contributions.c.expires_at <= NOW)

_QUERIES: Mapping[str, Select[tuple[object, ...]]] = {
    "member": select(members.c.id, *_raw(members, "kind", "status")),
    "key": select(
        keys.c.id,
        *_raw(keys, "member_id", "scopes", "expires_at", "hides_distances", "digest"),
        keys.c.revoked_at.is_not(None),
    ),
    "user": select(users.c.id, *_raw(users, "role", "status", "password", "secret")),
    "contribution": select(
        contributions.c.id,
        # The status that the log has: an expiry, for example, is logged some time later.
        *_raw(contributions, "announced"),
        contributions.c.withdrawn_at.is_not(None),
        *_raw(contributions, "withdrawal_reason"),
        _EXPIRED,
        *_raw(contributions, "standing"),
        contributions.c.erased_at.is_not(None),
        *_raw(contributions, "member_id", "labels", "severity", "basis"),
        # The column has `document` for texts, too. Events have `text`.
        MEDIA,
        *_raw(contributions, "commitment"),
    ),
    "opinion": select(
        opinions.c.id,
        # `silent`: the opinion does not count, because its member is suspended.
        *_raw(opinions, "contribution_id", "member_id", "opinion", "reason", "case_id", "replaced", "silent"),
    ),
    "case": select(
        cases.c.id, *_raw(cases, "contribution_id", "reason", "follows", "holds", "decision", "decided_by", "shadow")
    ),
    "benign": select(
        benign.c.id,
        *_raw(benign, "built_in"),
        func.coalesce(_SIGNALS_BY_ENTRY.c.algorithms, ""),
        func.coalesce(_SIGNALS_BY_ENTRY.c.signals, 0),
        benign.c.deleted_at.is_not(None),
    ).outerjoin(_SIGNALS_BY_ENTRY, _SIGNALS_BY_ENTRY.c.benign_id == benign.c.id),
    "incident": select(incidents.c.id, *_raw(incidents, "label", "start", "end", "expires")),
    "proposal": select(
        proposals.c.id,
        *_raw(proposals, "act"),
        proposals.c.subject_kind + ":" + cast(proposals.c.subject_id, Text),
        *_raw(proposals, "actor", "person"),
    ),
    "webhook": select(webhooks.c.id, *_raw(webhooks, "member_id")),
    "upstream": select(upstreams.c.id, *_raw(upstreams, "member_id")),
    "seed": select(seeds.c.id, *_raw(seeds, "octets"), seeds.c.retired_at.is_not(None)),
    "verification": select(
        verifications.c.id, *_raw(verifications, "actor", "size", "done", "outcome", "checkpoints", "findings")
    ).where(verifications.c.outcome.is_not(None)),
}
_FIRST_PAGES = {
    kind: query.order_by(query.selected_columns[0]).limit(bindparam("size", type_=Integer))
    for kind, query in _QUERIES.items()
}
_NEXT_PAGES = {kind: page.where(page.selected_columns[0] > bindparam("after")) for kind, page in _FIRST_PAGES.items()}
_SESSIONS = select(*_raw(sessions, "id", "user_id", "digest", "complete", "created_at")).order_by(sessions.c.id)
_ANSWERS = select(*_raw(requests, "member_id", "answer")).order_by(requests.c.member_id, requests.c.key)
