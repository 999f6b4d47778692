"""Fill the database of a service for the benchmarks, and make requests for it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import product

import numpy as np
from sqlalchemy import Connection, Engine, create_engine, text

from hashdb.domain.accounts.members import COMMAND_LINE, Scope
from hashdb.domain.contributions import Media, Standing, Status
from hashdb.domain.ledger.events import Action, LogEntry
from hashdb.domain.rules import Rules
from hashdb.domain.signals import Algorithm, Signal
from hashdb.index.vectors import Words, to_octets, unpack
from hashdb.service import HashDB
from hashdb.store import Store
from hashdb.store.repositories import insert_rows
from hashdb.store.tables import contributions, signals
from scripts.benchmarks import data
from scripts.benchmarks.homes import new_key

LABELS = ("glorification",)
_BATCH = 20_000
_MEMBER = 1
"""The number of the first member of a database."""
_ONE_MATCHES_IN = 10
"""One query in this number matches a stored value."""


def fill(url: str, rules: Rules, words: Words) -> str:
    """Record a contribution with one PDQ hash for each value, in batches; return a key to contribute and match."""
    store = Store(url)
    if store.embedded:
        store.migrate()
    db = HashDB(store, rules)
    key = new_key(db, Scope.CONTRIBUTE, Scope.MATCH)
    engine, now = create_engine(url), datetime.now(UTC)
    # Sort the values in the order of their index: a million unsorted entries would take minutes.
    values = sorted(to_octets(words))
    if store.embedded:
        _fill_embedded(engine, _row(1, now), values)
    else:
        for start in range(0, len(values), _BATCH):
            ids = range(start + 1, min(start + _BATCH, len(values)) + 1)
            with engine.begin() as connection:
                insert_rows(connection, contributions, [_row(id, now) for id in ids])
                insert_rows(connection, signals, [_signal(id, values[id - 1]) for id in ids])
    # Write one event for all contributions: one for each would take longer than everything else.
    with store.begin() as tx:
        tx.audit.append(now, COMMAND_LINE, [LogEntry(Action.CONTRIBUTION_ADDED, "contribution", len(values), {})])
    if not store.embedded:
        with engine.begin() as connection:
            last = {"last": len(values)}
            connection.execute(text("SELECT setval(pg_get_serial_sequence('contributions', 'id'), :last)"), last)
            # Autovacuum does this within a minute; until then the query plans are for empty tables.
            connection.execute(text("ANALYZE"))
    engine.dispose()
    db.close()
    return key


def _fill_embedded(engine: Engine, first: dict[str, object], values: Sequence[bytes]) -> None:
    """Record the contributions in SQLite. All rows are copies of the first with another id and fingerprint."""
    columns = ", ".join(column.name for column in contributions.columns if column.name not in ("id", "fingerprint"))
    with engine.begin() as connection:
        connection.exec_driver_sql("PRAGMA cache_size = -400000")
        insert_rows(connection, contributions, [first])
        connection.exec_driver_sql(
            f"INSERT INTO contributions (id, fingerprint, {columns}) WITH RECURSIVE numbers(number) AS "
            "(SELECT 2 UNION ALL SELECT number + 1 FROM numbers WHERE number < ?) "
            f"SELECT number, randomblob(32), {columns} FROM numbers CROSS JOIN contributions WHERE id = 1",
            (len(values),),
        )
        _write_signals(connection, ((id, 0, str(Algorithm.PDQ), value) for id, value in enumerate(values, start=1)))


def _write_signals(connection: Connection, rows: Iterable[tuple[int, int, str, bytes]]) -> None:
    driver = connection.connection.driver_connection
    assert driver is not None
    driver.executemany("INSERT INTO signals (contribution_id, position, algorithm, value) VALUES (?, ?, ?, ?)", rows)


def _signal(id: int, value: bytes) -> dict[str, object]:
    return {"contribution_id": id, "position": 0, "algorithm": str(Algorithm.PDQ), "value": value}


def fill_items(url: str, rules: Rules, items: int, signals_an_item: int) -> str:
    """Record items with one signal of PDQ and the others of phash256; return a key to contribute and match.

    For SQLite. The index of values is created at the end, which takes a fraction of the time.
    """
    key = fill(url, rules, data.stored_values(items, 256))
    engine, rng = create_engine(url), np.random.default_rng([data.SEED, items])
    [by_value] = [index for index in signals.indexes if "value" in index.columns]
    with engine.begin() as connection:
        by_value.drop(connection)
    for start in range(0, items, _BATCH):
        ids = range(start + 1, min(start + _BATCH, items) + 1)
        octets = to_octets(rng.integers(0, 2**64, (len(ids) * (signals_an_item - 1), 4), np.uint64, endpoint=False))
        positions = zip(product(ids, range(1, signals_an_item)), octets, strict=True)
        with engine.begin() as connection:
            _write_signals(connection, ((id, at, str(Algorithm.PHASH256), value) for (id, at), value in positions))
    with engine.begin() as connection:
        by_value.create(connection)
    engine.dispose()
    return key


def _row(id: int, now: datetime) -> dict[str, object]:
    return {
        "id": id,
        "member_id": _MEMBER,
        "received_at": now,
        "removed_at": now,
        "labels": LABELS,
        "media": Media.IMAGE,
        "context": (),
        "fingerprint": hashlib.sha256(str(id).encode()).digest(),
        "standing": Standing.UNREVIEWED,
        "announced": Status.ACTIVE,
        "quality": 90,
        # Without these two, the service would commit to each contribution in the background during the measurement.
        "salt": bytes(16),
        "commitment": hashlib.sha256(str(id).encode()).digest(),
    }


def match_bodies(words: Words, count: int, queries: int) -> list[bytes]:
    """Request bodies with `queries` queries each. One query in ten is near a stored value."""
    rng = np.random.default_rng([data.SEED, count, queries])
    total = count * queries
    values = rng.integers(0, 2**64, (total, 4), np.uint64, endpoint=False)
    near = rng.random(total) < 1 / _ONE_MATCHES_IN
    changes = rng.integers(0, Algorithm.PDQ.radius + 1, int(near.sum()))
    values[near] = words[rng.integers(0, len(words), len(changes))] ^ data.flip_masks(rng, changes, 256)
    texts = [str(Signal(Algorithm.PDQ, value)) for value in unpack(values)]
    return [
        json.dumps({"queries": [{"signals": [text]} for text in texts[start : start + queries]]}).encode()
        for start in range(0, total, queries)
    ]


def contribute_bodies(rng: np.random.Generator, count: int, size: int) -> Iterator[bytes]:
    """Request bodies that contribute `size` new hashes each, with half of the bits set, as the rules require."""
    for _ in range(count):
        items = [{**_ITEM, "signals": [f"pdq:{value:064x}"]} for value in data.balanced_values(rng, size, 256)]
        yield json.dumps({"contributions": items}).encode()


_ITEM = {"labels": LABELS, "removed_at": "2024-05-01T12:00:00Z", "quality": 90}


def picture_form(picture: bytes) -> tuple[bytes, str]:
    """The body of a form with one picture, and its content type."""
    boundary = b"hashdb-benchmark"
    body = b'--%s\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n%s\r\n--%s--\r\n'
    return body % (boundary, picture, boundary), f"multipart/form-data; boundary={boundary.decode()}"
