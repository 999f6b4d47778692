"""Services whose index has a folder, and what is in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, create_engine, text

from hashdb.domain.accounts.members import SYSTEM, Actor
from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.events import Action, LogEntry
from hashdb.domain.signals import Algorithm, Signal
from hashdb.index.segment import open_segment
from hashdb.index.segment_store import read_manifest
from hashdb.index.tiered import FLUSH_SIZE, TieredIndex
from hashdb.service import HashDB, open_hashdb
from hashdb.service.matching import matches
from tests.builders import NOON, RULES, Clock, draft, query, signal

PHASH = Algorithm.PHASH


@contextmanager
def opened(url: str, folder: Path, clock: Clock | None = None) -> Iterator[HashDB]:
    """Another process's view, as it were."""
    db = open_hashdb(url, RULES, clock=clock or Clock(), index=folder)
    try:
        yield db
    finally:
        db.close()


def index_of(db: HashDB, algorithm: Algorithm = Algorithm.PDQ) -> TieredIndex:
    """The tiers of an algorithm."""
    index = db.index.index(algorithm)
    assert isinstance(index, TieredIndex)
    return index


def missed(db: HashDB, actor: Actor, seeds: range | list[int]) -> list[int]:
    """The seeds of contributed signals that no match finds."""
    answer = matches.match(db, actor, [query(seed) for seed in seeds])
    return [seed for seed, found in zip(seeds, answer.results, strict=True) if not found.matches]


def fill_store(db: HashDB, actor: Actor, count: int = FLUSH_SIZE) -> list[Signal]:
    """Put so many signals into the store that an index of them is not read at a request."""
    assert actor.member is not None
    made = [signal(seed, PHASH) for seed in range(count)]
    with db.store.begin() as tx:
        drafts = [draft(*made[start : start + 64]) for start in range(0, count, 64)]
        added = tx.contributions.add(actor.member, drafts, NOON)
        tx.audit.append(
            NOON, SYSTEM, [LogEntry(Action.CONTRIBUTION_ADDED, "contribution", one.id, {}) for one in added]
        )
    return made


def set_back(url: str, seq: int, contribution: int, epoch: str | None) -> None:
    """What a restore from a backup does (and without a new epoch, what none should)."""
    engine = create_engine(url)
    with engine.begin() as connection:
        words = {"id": contribution, "seq": seq, "epoch": epoch}
        connection.execute(text("DELETE FROM signals WHERE contribution_id >= :id"), words)
        connection.execute(text("DELETE FROM contributions WHERE id >= :id"), words)
        log_set_back(connection, seq)
        connection.execute(text("UPDATE log SET epoch = coalesce(:epoch, epoch)"), words)
    engine.dispose()


def log_set_back(connection: Connection, seq: int) -> None:
    """The log as it was at a number, with the tree over it."""
    leaves = connection.execute(text("SELECT leaf FROM events WHERE seq <= :seq ORDER BY seq"), {"seq": seq}).scalars()
    inner, edge = merkle.grow(0, (), leaves.all())
    words = {"seq": seq, "count": len(inner), "peaks": b"".join(edge)}
    connection.execute(text("DELETE FROM events WHERE seq > :seq"), words)
    connection.execute(text("DELETE FROM nodes WHERE number > :count"), words)
    connection.execute(text("UPDATE log SET seq = :seq, peaks = :peaks"), words)


def found(db: HashDB, made: Sequence[Signal]) -> int:
    """How many of these signals the index finds."""
    answers = index_of(db, PHASH).search([one.value for one in made], 0)
    return sum([near.value for near in some] == [one.value] for one, some in zip(made, answers, strict=True))


def flip(folder: Path, name: str) -> None:
    """Harm a part of every segment where it stands, as a disk may, also for who has mapped it."""
    manifest = read_manifest(folder)
    assert manifest is not None
    for path in (folder / name for name in manifest.names):
        opened = open_segment(path)
        array = {"first": opened.lanes[0], "offsets": opened.offsets, "entries": opened.entries}[name]
        assert array is not None
        octets = array.tobytes()
        at = path.read_bytes().index(octets)
        with path.open("r+b") as file:
            file.seek(at)
            file.write(bytes(octet ^ 0x55 for octet in octets))
