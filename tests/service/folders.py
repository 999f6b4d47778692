"""Services whose index is stored in a folder, and helpers to search, roll back and damage them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine, text

from hashdb.domain.accounts.members import SYSTEM, Actor
from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.events import Action, LogEntry
from hashdb.domain.signals import Algorithm, Signal
from hashdb.index import FLUSH_SIZE
from hashdb.index.segment import open_segment
from hashdb.index.segment_store import read_manifest
from hashdb.index.tiered import TieredIndex
from hashdb.service import HashDB, open_hashdb
from hashdb.service.matching import matches
from tests.builders import NOON, RULES, Clock, draft, query, signal

PHASH = Algorithm.PHASH


@contextmanager
def open_service(url: str, folder: Path, clock: Clock | None = None) -> Iterator[HashDB]:
    """Open the service of a database as another process does, with its index in the folder."""
    db = open_hashdb(url, RULES, clock=clock or Clock(), index=folder)
    try:
        yield db
    finally:
        db.close()


def index_of(db: HashDB, algorithm: Algorithm = Algorithm.PDQ) -> TieredIndex:
    """The tiered index of an algorithm."""
    index = db.index.index(algorithm)
    assert isinstance(index, TieredIndex)
    return index


def unmatched(db: HashDB, actor: Actor, seeds: range | list[int]) -> list[int]:
    """Query the signals of these seeds, and return the seeds without a match."""
    answer = matches.match(db, actor, [query(seed) for seed in seeds])
    return [seed for seed, result in zip(seeds, answer.results, strict=True) if not result.matches]


def fill_store(db: HashDB, actor: Actor, count: int = FLUSH_SIZE) -> list[Signal]:
    """Store so many signals that no request reads them all into an index, and return the signals."""
    assert actor.member is not None
    stored = [signal(seed, PHASH) for seed in range(count)]
    with db.store.begin() as tx:
        drafts = [draft(*stored[start : start + 64]) for start in range(0, count, 64)]
        added = tx.contributions.add(actor.member, drafts, NOON)
        entries = [LogEntry(Action.CONTRIBUTION_ADDED, "contribution", contribution.id, {}) for contribution in added]
        tx.audit.append(NOON, SYSTEM, entries)
    return stored


def roll_back_service(url: str, seq: int, contribution: int, epoch: str | None) -> None:
    """Restore the database to an earlier event and remove the contributions from this id on.

    A correct restore sets a new epoch; None keeps the old one, as a faulty restore does.
    """
    engine = create_engine(url)
    with engine.begin() as connection:
        values = {"id": contribution, "seq": seq, "epoch": epoch}
        connection.execute(text("DELETE FROM signals WHERE contribution_id >= :id"), values)
        connection.execute(text("DELETE FROM contributions WHERE id >= :id"), values)
        roll_back_log(connection, seq)
        connection.execute(text("UPDATE log SET epoch = coalesce(:epoch, epoch)"), values)
    engine.dispose()


def roll_back_log(connection: Connection, seq: int) -> None:
    """Remove the events after `seq`, and restore the tree as it was at that event."""
    leaves = connection.execute(text("SELECT leaf FROM events WHERE seq <= :seq ORDER BY seq"), {"seq": seq}).scalars()
    inner, edge = merkle.grow(0, (), leaves.all())
    values = {"seq": seq, "count": len(inner), "peaks": b"".join(edge)}
    connection.execute(text("DELETE FROM events WHERE seq > :seq"), values)
    connection.execute(text("DELETE FROM nodes WHERE number > :count"), values)
    connection.execute(text("UPDATE log SET seq = :seq, peaks = :peaks"), values)


def count_found(db: HashDB, signals: Sequence[Signal]) -> int:
    """The number of these signals that the index finds."""
    values = [signal.value for signal in signals]
    results = index_of(db, PHASH).search(values, 0)
    return sum([near.value for near in neighbors] == [value] for value, neighbors in zip(values, results, strict=True))


def corrupt_segments(folder: Path, name: str) -> None:
    """Overwrite an array of every segment file in place, as a failing disk may.

    A process that has mapped the file sees the damage, too.
    """
    manifest = read_manifest(folder)
    assert manifest is not None
    for path in (folder / name for name in manifest.names):
        segment = open_segment(path)
        array = {"first": segment.lanes[0], "offsets": segment.offsets, "entries": segment.entries}[name]
        assert array is not None
        octets = array.tobytes()
        at = path.read_bytes().index(octets)
        with path.open("r+b") as file:
            file.seek(at)
            file.write(bytes(octet ^ 0x55 for octet in octets))
