"""Contributions and their signals in SQL."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import fields as fields_of
from dataclasses import replace
from datetime import datetime
from itertools import chain, groupby
from operator import itemgetter
from typing import Any, NamedTuple, Self

from sqlalchemy import (
    BindParameter,
    Integer,
    Select,
    String,
    TableClause,
    bindparam,
    column,
    func,
    insert,
    select,
    union_all,
)

from hashdb.domain.accounts.members import Member
from hashdb.domain.contributions import UNSET, Amendment, Contribution, Draft, Filter, Media, Standing, Status, Unset
from hashdb.domain.frames import Extent, Shot, split_shots
from hashdb.domain.ledger.commitments import Commitment, item_lines
from hashdb.domain.signals import SIGNALS_AN_ITEM, Algorithm, Signal
from hashdb.domain.signatures import Kind, Signature
from hashdb.errors import NotFound
from hashdb.store.contributions.commitments import Commitments
from hashdb.store.contributions.filters import filter_conditions, stored_media
from hashdb.store.contributions.frames import ALGORITHMS, SIGNAL_COLUMNS, Frames, SignalRow, signals_in
from hashdb.store.contributions.statuses import status_at, unended
from hashdb.store.repositories import IDS, NOW, Repository, attributes, chunks, insert_rows, insert_values
from hashdb.store.tables import (
    SUPPRESSED_TABLES,
    amendments,
    contributions,
    digests,
    fingerprints,
    members,
    signal_table,
    signals,
    signatures,
)

SignalSet = tuple[int, bytes]
"""A member, and the fingerprint of a set of signals."""
_COPIED = tuple(field.name for field in fields_of(Draft) if field.name not in ("signals", "signatures", "frames"))
"""Fields that have one name in the draft, the contribution and the table."""
_COLUMNS = tuple(name for name in _COPIED if name != "media")
"""The fields of `_COPIED` that are read as they are stored."""
_CONTRIBUTION, _PLACE = itemgetter(0), itemgetter(0, 1)
"""From a row of a signal: its contribution; its contribution and position."""
_IN_DIGESTS = frozenset(str(algorithm) for algorithm in Algorithm if signal_table(algorithm) is digests)
"""The algorithms whose signals are in the table `digests`, and not in `signals`."""
_NO_PARTS: Mapping[str, object] = {"pages": None, "words": None}
SIGNATURE_KINDS = {str(kind): kind for kind in Kind}
"""The kinds of signatures by their code in the database."""
_SEQUENCES = TableClause("sqlite_sequence", column("name", String), column("seq", Integer))
_LAST_ID = select(_SEQUENCES.c.seq).where(_SEQUENCES.c.name == contributions.name)
_NEXT_IDS = select(func.nextval(func.pg_get_serial_sequence(contributions.name, "id"))).select_from(
    func.generate_series(1, bindparam("count", type_=Integer))
)
# SQLite would read all contributions of a member if these were pairs, or if the sum below did not hide an index.
_MEMBERS: BindParameter[int] = bindparam("members", expanding=True)
_FINGERPRINTS: BindParameter[bytes] = bindparam("fingerprints", expanding=True)
_UNENDED = unended(NOW)
_UNENDED_SETS = union_all(
    select(contributions.c.member_id, contributions.c.fingerprint, contributions.c.id).where(
        contributions.c.member_id.in_(_MEMBERS), contributions.c.fingerprint.in_(_FINGERPRINTS), _UNENDED
    ),
    select(contributions.c.member_id, fingerprints.c.fingerprint, contributions.c.id)
    .join(contributions, contributions.c.id == fingerprints.c.contribution_id)
    .where((contributions.c.member_id + 0).in_(_MEMBERS), fingerprints.c.fingerprint.in_(_FINGERPRINTS), _UNENDED),
).subquery()
_KNOWN = select(_UNENDED_SETS.c.member_id, _UNENDED_SETS.c.fingerprint, func.min(_UNENDED_SETS.c.id)).group_by(
    _UNENDED_SETS.c.member_id, _UNENDED_SETS.c.fingerprint
)
# Signals of frames have higher positions, and are read apart.
_SIGNALS = signals_in(signals, signals.c.position < SIGNALS_AN_ITEM).order_by("contribution_id", "position")
_DIGESTS = signals_in(digests, digests.c.position < SIGNALS_AN_ITEM)
_SIGNATURES: Select[Any] = (
    select(*signatures.c["contribution_id", "kind", "value"])
    .where(signatures.c.contribution_id.in_(IDS))
    .order_by(signatures.c.contribution_id, signatures.c.position)
)
SIGNATURE_COLUMNS = ("contribution_id", "position", "kind", "value")
_NONE_SUPPRESSED: Mapping[Signal, int] = {}


class PreparedDraft(NamedTuple):
    """What is computed of a draft before the transaction that records it, so that other writers do not wait for it."""

    fingerprint: bytes
    commitment: Commitment
    """To all that the draft has, with a new salt."""
    shots: Sequence[Shot]

    @classmethod
    def from_draft(cls, draft: Draft) -> Self:
        """The prepared draft."""
        shots = list(split_shots(draft.frames)) if draft.frames else ()
        return cls(draft.fingerprint(), Commitment.new(item_lines(draft.signals, shots, draft.signatures)), shots)


class Contributions(Repository):
    """Contributions within one transaction."""

    def add(
        self,
        member: Member | Sequence[Member],
        drafts: Sequence[Draft],
        now: datetime,
        expiries: Sequence[datetime | None] | None = None,
        prepared: Sequence[PreparedDraft] | None = None,
        suppressed: Mapping[Signal, int] = _NONE_SUPPRESSED,
    ) -> tuple[Contribution, ...]:
        """Record drafts of a member, or of a member each, in order.

        `expiries` override the expiry that each draft asks for. `prepared` are the prepared drafts, if the caller has
        prepared them. `suppressed` has the signals of frames that are suppressed, each with the benign entry.
        """
        if not drafts:
            return ()
        owners = [member] * len(drafts) if isinstance(member, Member) else member
        ids = self._ids(len(drafts))
        prepared = list(map(PreparedDraft.from_draft, drafts)) if prepared is None else prepared
        rows = [
            {"id": id, "fingerprint": fingerprint, "salt": salt, "commitment": hash, **_row(owner, draft, now)}
            for id, owner, draft, (fingerprint, (salt, hash), _) in zip(ids, owners, drafts, prepared, strict=True)
        ]
        if expiries is not None:
            pairs = zip(drafts, expiries, strict=True)
            drafts = [draft if draft.expires_at == at else replace(draft, expires_at=at) for draft, at in pairs]
            for row, at in zip(rows, expiries, strict=True):
                row["expires_at"] = at
        insert_rows(self._connection, contributions, rows)
        signal_rows: list[SignalRow] = []
        digest_rows: list[SignalRow] = []
        signature_rows: list[SignalRow] = []
        for id, draft in zip(ids, drafts, strict=True):
            for i, signal in enumerate(draft.signals):
                rows_of_table = digest_rows if signal.algorithm in _IN_DIGESTS else signal_rows
                rows_of_table.append((id, i, str(signal.algorithm), signal.to_bytes()))
            for i, signature in enumerate(draft.signatures):
                signature_rows.append((id, i, str(signature.kind), signature.octets))
        if shots_by_id := {id: shots for id, (_, _, shots) in zip(ids, prepared, strict=True) if shots}:
            for row_of_frame in Frames(self._connection).add(shots_by_id, suppressed):
                (digest_rows if row_of_frame[2] in _IN_DIGESTS else signal_rows).append(row_of_frame)
        insert_values(self._connection, signals.name, SIGNAL_COLUMNS, signal_rows)
        if digest_rows:
            insert_values(self._connection, digests.name, SIGNAL_COLUMNS, digest_rows)
        if signature_rows:
            insert_values(self._connection, signatures.name, SIGNATURE_COLUMNS, signature_rows)
        added = zip(ids, owners, drafts, prepared, strict=True)
        return tuple(
            [_recorded_contribution(id, owner, draft, now, parts, suppressed) for id, owner, draft, parts in added]
        )

    def known(self, sets: AbstractSet[SignalSet], now: datetime) -> dict[SignalSet, int]:
        """By set of signals, the contribution of its member that has this set and has not ended: the lowest id.

        Sets that no contribution has are left out.
        """
        ids: dict[SignalSet, int] = {}
        for chunk in chunks(list(sets)):
            owners, prints = zip(*chunk, strict=True)
            parameters = {"members": list(set(owners)), "fingerprints": list(set(prints)), "now": now}
            for owner, fingerprint, id in self._run(_KNOWN, parameters):
                if (owner, fingerprint) in sets:
                    ids[owner, fingerprint] = id
        return ids

    def get(
        self, ids: Collection[int], now: datetime, *, hidden: frozenset[str] = frozenset()
    ) -> dict[int, Contribution]:
        """The contributions with these ids, without the `hidden` fields; ids that do not exist are left out."""
        return self._read(self._rows_in(_contributions(now), contributions.c.id, ids), hidden) if ids else {}

    def contributors(self, ids: Collection[int]) -> dict[int, int]:
        """The member of each contribution, by the id of the contribution; ids that do not exist are left out."""
        query = select(contributions.c.id, contributions.c.member_id)
        return dict(map(tuple, self._rows_in(query, contributions.c.id, ids)))

    def contributor(self, id: int) -> int | None:
        """The member of one contribution; None if there is no such contribution."""
        return self.contributors([id]).get(id)

    def one(self, id: int, now: datetime, *, lock: bool = False) -> Contribution:
        """One contribution; `lock` locks it until the transaction ends. Raises NotFound."""
        if lock:
            self._connection.execute(select(contributions.c.id).where(contributions.c.id == id).with_for_update())
        contributions_by_id = self.get([id], now)
        if not contributions_by_id:
            raise NotFound(f"contribution {id}")
        return contributions_by_id[id]

    def lock(self, ids: Collection[int]) -> None:
        """Lock contributions until the transaction ends, in the order of their ids: so no two transactions deadlock."""
        for chunk in chunks(sorted(ids)):
            query = select(contributions.c.id).where(contributions.c.id.in_(chunk)).order_by(contributions.c.id)
            self._connection.execute(query.with_for_update())

    def page(self, filter: Filter, after: int, limit: int, now: datetime) -> tuple[Contribution, ...]:
        """At most `limit` contributions that the filter selects, with ids above `after`, in order."""
        query = _contributions(now).where(*filter_conditions(filter, now))
        return tuple(self._read(self._page_after(query, contributions.c.id, after, limit)).values())

    def signals(self, ids: Collection[int]) -> dict[int, tuple[Signal, ...]]:
        """The signals of contributions that are not suppressed, by id, in the order they were sent."""
        signals_by_id: dict[int, tuple[Signal, ...]] = {}
        for chunk in chunks(sorted(set(ids))):
            rows: Sequence[Any] = self._connection.execute(_SIGNALS, {"ids": chunk}).all()
            if further := self._connection.execute(_DIGESTS, {"ids": chunk}).all():
                rows = sorted([*rows, *further], key=_PLACE)
            for id, group in groupby(rows, key=_CONTRIBUTION):
                signals_by_id[id] = tuple(
                    Signal(ALGORITHMS[name], int.from_bytes(value)) for _, _, name, value in group
                )
        return signals_by_id

    def signatures(self, ids: Collection[int]) -> dict[int, tuple[Signature, ...]]:
        """The signatures of contributions, by id, in the order they were sent."""
        signatures_by_id: dict[int, tuple[Signature, ...]] = {}
        for id, group in groupby(self._run_for_ids(_SIGNATURES, ids), key=_CONTRIBUTION):
            signatures_by_id[id] = tuple(Signature(SIGNATURE_KINDS[kind], value) for _, kind, value in group)
        return signatures_by_id

    def amend(
        self, contribution: Contribution, change: Amendment, now: datetime, own_expiry: datetime | None | Unset = UNSET
    ) -> tuple[str, ...]:
        """Change the fields that are set and differ, store their old values, and return their names, sorted.

        `own_expiry` is the expiry that the member asks for, if it is not the one of the change.
        """
        fields = attributes(change, *(field.name for field in fields_of(change)))
        values = {
            name: value for name, value in fields.items() if value is not UNSET and value != getattr(contribution, name)
        }
        if values:
            before = {name: _plain(value) for name, value in attributes(contribution, *values).items()}
            row = {"contribution_id": contribution.id, "at": now, "before": before}
            self._connection.execute(insert(amendments), row)
        expiry = change.expires_at if own_expiry is UNSET else own_expiry
        columns = values | ({} if expiry is UNSET else {"own_expiry": expiry})
        if columns:
            self._update(contributions, contribution.id, **columns)
        return tuple(sorted(values))

    def withdraw(self, id: int, reason: str, now: datetime) -> None:
        """Mark a contribution as withdrawn, also in the column of the status that the log has."""
        self._update(contributions, id, withdrawn_at=now, withdrawal_reason=reason, announced=Status.WITHDRAWN)

    def received_since(self, member: int, since: datetime) -> int:
        """How many contributions of a member were received from `since` on."""
        return self._count(contributions.c.member_id == member, contributions.c.received_at >= since)

    def _ids(self, count: int) -> list[int]:
        """`count` new ids, in order."""
        if self._connection.dialect.name == "sqlite":
            # A writing transaction is alone, and inserting the rows advances the sequence.
            rows = self._run(_LAST_ID, {})
            first = rows[0][0] + 1 if rows else 1
            return list(range(first, first + count))
        return [row[0] for row in self._run(_NEXT_IDS, {"count": count})]

    def _read(self, rows: Sequence[Any], hidden: frozenset[str] = frozenset()) -> dict[int, Contribution]:
        ids = [row[0] for row in rows]
        signals_by_id, signatures_by_id = self.signals(ids), self.signatures(ids)
        by_id = {
            row[0]: _contribution(row, signals_by_id.get(row[0], ()), signatures_by_id.get(row[0], ()), hidden)
            for row in rows
        }
        if salts := {id: read.salt for id, read in by_id.items() if read.masked and read.salt is not None}:
            for id, seals in Commitments(self._connection).undisclosed(salts).items():
                by_id[id] = replace(by_id[id], undisclosed=seals)
        return by_id


def _contributions(now: datetime) -> Select[tuple[Any, ...]]:
    """The query for contributions, with the columns that `_contribution` reads, in its order."""
    suppressed, suppressed_of_texts = (
        select(func.count()).where(table.c.contribution_id == contributions.c.id).scalar_subquery()
        for table in SUPPRESSED_TABLES
    )
    return select(
        *contributions.c["id", "member_id"],
        members.c.name,
        status_at(now),
        *contributions.c["standing", "received_at", "media", "withdrawn_at", "withdrawal_reason", "erased_at"],
        suppressed + suppressed_of_texts,
        *contributions.c["frame_count", "pages", "words", "salt", "commitment", *_COLUMNS],
    ).join(members, members.c.id == contributions.c.member_id)


def _row(member: Member, draft: Draft, now: datetime) -> dict[str, object]:
    parts = _row_of_parts(draft) if draft.frames or draft.media is Media.TEXT else _NO_PARTS
    return attributes(draft, *_COPIED) | {
        **parts,
        "member_id": member.id,
        "received_at": now,
        "own_expiry": draft.expires_at,
        "standing": Standing.UNREVIEWED,
        "announced": Status.ACTIVE,
        "frame_count": len(draft.frames) or None,
    }


def _row_of_parts(draft: Draft) -> dict[str, object]:
    """The columns of an item with frames or of a text, in the form of `stored_media`."""
    extent = draft.extent or Extent()
    media, pages, words = stored_media(draft.media, extent.pages, extent.words)
    return {"media": media, "pages": pages, "words": words}


def _recorded_contribution(
    id: int, member: Member, draft: Draft, now: datetime, prepared: PreparedDraft, suppressed: Mapping[Signal, int]
) -> Contribution:
    """The contribution that `add` has just recorded, without reading it again."""
    extent = (draft.extent if draft.frames else None) or Extent()
    searched = [shot.frames[0].signals for shot in prepared.shots if shot.frames[0].matches] if suppressed else ()
    return Contribution(
        id=id,
        member=member.id,
        member_name=member.name,
        status=Status.ACTIVE,
        standing=Standing.UNREVIEWED,
        received_at=now,
        signals=draft.signals,
        signatures=draft.signatures,
        frame_count=len(draft.frames),
        pages=extent.pages,
        words=extent.words,
        frames=draft.frames,
        masked=sum(signal in suppressed for signal in chain.from_iterable(searched)),
        salt=prepared.commitment.salt,
        commitment=prepared.commitment.hash,
        **attributes(draft, *_COPIED),
    )


def _contribution(
    row: Sequence[Any], signals: tuple[Signal, ...], signatures: tuple[Signature, ...], hidden: frozenset[str]
) -> Contribution:
    id, member, name, status, standing, received, media, withdrawn, reason, erased, masked, frames, *fields = row
    pages, words, salt, commitment, *fields = fields
    copied: dict[str, Any] = dict(zip(_COLUMNS, fields, strict=True))
    if "reference" in hidden:
        copied["reference"] = None
    return Contribution(
        id=id,
        member=member,
        member_name=name,
        status=_STATUSES[status],
        standing=STANDINGS[standing],
        received_at=received,
        signals=() if erased else signals,
        signatures=() if erased else signatures,
        media=Media.TEXT if words is not None and pages is None and media == _DOCUMENT else _MEDIA[media],
        withdrawn_at=withdrawn,
        withdrawal_reason=reason,
        erased=erased is not None,
        masked=masked,
        hidden=hidden,
        frame_count=0 if erased else frames or 0,
        pages=None if erased else pages or None,
        words=None if erased else words or None,
        salt=None if erased else salt,
        commitment=commitment,
        **copied,
    )


# A feed reads a million rows: calling an enum or reading a row by name would take as long as the query.
_MEDIA = {str(media): media for media in Media}
_DOCUMENT = str(Media.DOCUMENT)
_STATUSES = {str(status): status for status in Status}
STANDINGS = {str(standing): standing for standing in Standing}


def _plain(value: object) -> object:
    """An old value of a field in a form that JSON has."""
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value
