"""Witnesses in SQL: their cosignatures of the newest checkpoints, and what the service knows of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import select, update

from hashdb.store.repositories import Repository, attributes
from hashdb.store.tables import cosignatures, witness_states


class Cosignatures(Repository):
    """Cosignatures of stored checkpoints within one transaction. Witnesses are named as by `WitnessKey.named_id`."""

    def lines_by_size(self) -> dict[int, dict[str, str]]:
        """The signature lines of each checkpoint, by size and then by witness, the newest checkpoint first."""
        lines: dict[int, dict[str, str]] = defaultdict(dict)
        query = select(cosignatures).order_by(cosignatures.c.size.desc(), cosignatures.c.witness)
        for row in self._connection.execute(query):
            lines[row.size][row.witness] = row.line
        return dict(lines)

    def put(self, size: int, witness: str, line: str, at: datetime) -> None:
        """Store the cosignature of a stored checkpoint by a witness, instead of an earlier one."""
        row = {"size": size, "witness": witness, "line": line, "at": at}
        self._upsert(cosignatures, [row], new_columns=("line", "at"))

    def keep_only(self, sizes: Collection[int]) -> None:
        """Delete the cosignatures of all checkpoints but those of these sizes."""
        self._delete(cosignatures, cosignatures.c.size.not_in(sorted(sizes)))


class WitnessState(NamedTuple):
    """What the service knows of a witness; the columns of its table explain the fields."""

    size: int = 0
    at: datetime | None = None
    next_at: datetime | None = None
    failing_since: datetime | None = None
    trouble: str | None = None
    refused: bool = False


class WitnessStates(Repository):
    """The states of witnesses within one transaction, named as in `Cosignatures`."""

    def by_named_id(self) -> Mapping[str, WitnessState]:
        """The state of each witness that was ever asked, by the `named_id` of its key."""
        rows = self._connection.execute(select(witness_states))
        return {row.witness: WitnessState(**attributes(row, *WitnessState._fields)) for row in rows}

    def claim(self, witness: str, now: datetime, until: datetime, latest: datetime) -> WitnessState | None:
        """Claim a witness that is due, so that no other process asks it before `until`; None if it is not due.

        A witness whose next time is after `latest` is due, too: the clock was set back.
        """
        new = {"witness": witness, "size": 0, "next_at": now, "refused": False}
        self._connection.execute(self._insert_into(witness_states).on_conflict_do_nothing(), new)
        next_at = witness_states.c.next_at
        query = update(witness_states).where(witness_states.c.witness == witness, (next_at <= now) | (next_at > latest))
        if self._connection.execute(query.values(next_at=until)).rowcount != 1:
            return None
        return self.by_named_id()[witness]

    def set(self, witness: str, state: WitnessState) -> None:
        """Store the state of a witness."""
        query = update(witness_states).where(witness_states.c.witness == witness)
        self._connection.execute(query.values(state._asdict()))
