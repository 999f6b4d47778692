"""Admission: what of the database a draft is held against beside the rules, the benign list and the incidents."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from hashdb.domain.audit import Entry
from hashdb.domain.benign import REFUSAL
from hashdb.domain.contributions import Draft
from hashdb.domain.incidents import Incident
from hashdb.domain.members import Actor
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import Fault
from hashdb.index.tiered import TieredIndex
from hashdb.store import Transaction
from hashdb.store.benign import Near

KINDS = frozenset({"benign", "incident"})
"""The subjects of events after which a draft is held against something else."""


class Overtaken(Exception):
    """What a change was held against has changed before it could be written: do it again."""


class Admission:
    """The benign list, to be asked about many signals at once, and the incidents by label."""

    def __init__(self, near: Iterable[Near], incidents: Iterable[Incident]) -> None:
        """Of every benign signal there is, and every incident."""
        self.incidents: Mapping[str, Incident] = {one.label: one for one in incidents}
        self._entries: dict[tuple[Algorithm, int], dict[int, int]] = defaultdict(dict)
        for entry, signal, radius in near:
            self._entries[signal.algorithm, radius].setdefault(signal.value, entry)
        self._indexes: dict[tuple[Algorithm, int], TieredIndex] = {}
        for (algorithm, radius), values in self._entries.items():
            index = self._indexes[algorithm, radius] = TieredIndex(algorithm.bits, radius)
            index.add(values)

    def touched(self, signals: Iterable[Signal]) -> dict[Signal, int]:
        """Those of the signals that are close to a benign one, and one entry of which each is."""
        found: dict[Signal, int] = {}
        # Not a set of signals: there may be thousands, and next to none is close to any.
        asked: dict[Algorithm, list[int]] = defaultdict(list)
        for one in signals if self._indexes else ():
            asked[one.algorithm].append(one.value)
        for (algorithm, radius), index in self._indexes.items():
            values = asked.get(algorithm, [])
            for value, neighbors in zip(values, index.search(values, radius) if values else (), strict=True):
                if neighbors:
                    found.setdefault(Signal(algorithm, value), self._entries[algorithm, radius][neighbors[0].value])
        return found

    def faults(self, drafts: Sequence[Draft], now: datetime) -> Iterator[tuple[int, Fault]]:
        """What is wrong with drafts, each fault at its field, with the position of its draft."""
        touched = self.touched(signal for draft in drafts for signal in draft.signals)
        for position, draft in enumerate(drafts):
            for place, signal in enumerate(draft.signals) if touched else ():
                if signal in touched:
                    yield position, Fault(f"signals[{place}]", REFUSAL)
            if reason := self.incident_fault(draft.incident, now):
                yield position, Fault("incident", reason)

    def incident_fault(self, label: str | None, now: datetime) -> str | None:
        """Why nothing can be contributed under that label any more, or None."""
        incident = self.incidents.get(label) if label else None
        if incident is None or incident.expiry is None or incident.expiry > now:
            return None
        return "this incident has ended, and what was contributed under it has expired with it"


def append(tx: Transaction, now: datetime, actor: Actor, entries: Sequence[Entry], known: int) -> int:
    """Append to the log what was held against the admission of number `known`. Raises Overtaken where it has changed.

    Or where something was retired since, near which it may be.
    Whoever appends is alone until its transaction ends, so nothing comes in between from here on.
    """
    seq = tx.audit.append(now, actor, entries)
    before = seq - len(entries)
    if before > known and tx.audit.kinds(known, before) & {*KINDS, "retired"}:
        raise Overtaken
    return seq
