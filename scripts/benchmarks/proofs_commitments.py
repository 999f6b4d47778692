"""Measure commitments to signals: contributions a second with and without them, and the time of an upgrade."""

from __future__ import annotations

import os
import random
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from unittest.mock import patch

from sqlalchemy import text

from hashdb.domain.accounts.members import COMMAND_LINE, Scope
from hashdb.service import HashDB, open_hashdb
from hashdb.service.contributions import commitments
from hashdb.service.ledger.verification import verify
from hashdb.settings import Settings
from hashdb.web import create_app
from scripts.bench_match import timed_request
from scripts.benchmarks import report
from scripts.benchmarks.homes import new_key, seconds
from scripts.benchmarks.report import Figures, Part, Target
from tests import schemas

_LEAST = 0.9
_ROUNDS, _QUICK_ROUNDS = 9, 3
_OLD, _QUICK_OLD = 20_000, 2_000
_KINDS = {
    "one picture with 1 signal": (200, 1, 1, 0),
    "one picture with 20 signals": (200, 1, 20, 0),
    "1,000 pictures with 1 signal": (3, 1_000, 1, 0),
    "1,000 pictures with 20 signals": (3, 1_000, 20, 0),
    "one video with 600 shots": (10, 1, 0, 600),
}
"""For each kind of request: requests in a round, items in a request, and signals and shots of an item."""


_MODULE = "hashdb.store.contributions.contributions"
"""The module that creates the commitment of a draft."""


class _NoCommitment:
    """A replacement for a commitment, with no salt and no hash."""

    salt = hash = None

    def __iter__(self) -> Iterator[None]:
        return iter((None, None))


def _measure(quick: bool) -> Figures:
    with (
        tempfile.TemporaryDirectory() as folder,
        _service(folder, "with") as with_commitments,
        _service(folder, "without") as without_commitments,
    ):
        with without_commitments.db.store.begin() as tx:
            tx.connection.execute(text("DROP INDEX ix_contributions_id"))
        rounds = _QUICK_ROUNDS if quick else _ROUNDS
        rates = {name: _rates(with_commitments, without_commitments, kind, rounds) for name, kind in _KINDS.items()}
        figures = {"load": os.getloadavg()[0], "rates": rates}
        return {**figures, **_measure_upgrade(folder, _QUICK_OLD if quick else _OLD)}


class _Service(NamedTuple):
    """A service with one member that contributes."""

    db: HashDB
    app: Any
    secret: str


@contextmanager
def _service(folder: str, name: str) -> Iterator[_Service]:
    url = f"sqlite:///{Path(folder, name)}.sqlite"
    schemas.make(url)
    settings = Settings(home=Path(folder))
    with closing(open_hashdb(url, settings.rules())) as db:
        yield _Service(db, create_app(db, settings), new_key(db, Scope.CONTRIBUTE))


def _rates(
    with_commitments: _Service, without_commitments: _Service, kind: tuple[int, int, int, int], rounds: int
) -> Figures:
    """Contributions a second with and without commitments, measured in alternating rounds.

    Only the fastest twentieth of the requests counts: other work on the machine can only make a request slower.
    """
    requests, size, signals, shots = kind
    rng, times = random.Random(requests), {"with": list[float](), "without": list[float]()}
    for number in range(rounds):
        bodies = [[_item(rng, signals, shots) for _ in range(size)] for _ in range(requests)]
        for name in ("with", "without") if number % 2 else ("without", "with"):
            times[name] += (
                _seconds(with_commitments, bodies) if name == "with" else _seconds_without(without_commitments, bodies)
            )
    rates = {name: size / sorted(seconds)[len(seconds) // 20] for name, seconds in times.items()}
    return {**rates, "ratio": rates["with"] / rates["without"]}


def _seconds(service: _Service, bodies: Sequence[Sequence[Mapping[str, Any]]]) -> list[float]:
    path = "/v1/contributions"
    return [timed_request(service.app, service.secret, path, {"contributions": items}) for items in bodies]


def _seconds_without(service: _Service, bodies: Sequence[Sequence[Mapping[str, Any]]]) -> list[float]:
    with (
        patch(f"{_MODULE}.item_lines", lambda *_: ()),
        patch(f"{_MODULE}.Commitment", SimpleNamespace(new=lambda lines: _NoCommitment())),
    ):
        return _seconds(service, bodies)


def _item(rng: random.Random, signals: int, shots: int) -> Mapping[str, Any]:
    item = {"labels": ["glorification"], "removed_at": "2026-05-01T00:00:00Z", "signals": _signals(rng, signals)}
    if not shots:
        return {**item, "quality": 90}
    frames = [{"at": at, "quality": 90, "signals": _signals(rng, 1)} for at in range(shots)]
    return {**item, "media": "video", "duration": shots, "frames": frames}


def _signals(rng: random.Random, count: int) -> list[str]:
    return [f"pdq:{sum(1 << bit for bit in rng.sample(range(256), 128)):064x}" for _ in range(count)]


def _measure_upgrade(folder: str, count: int) -> Figures:
    """Contributions a second that the service commits to after an upgrade, and the time of a verification."""
    rng = random.Random(count)
    with _service(folder, "old") as old:
        db = old.db
        for _ in range(0, count, 1_000):
            _seconds_without(old, [[_item(rng, 4, 0) for _ in range(1_000)]])
        steps, done = list[float](), 1
        while done:
            started = time.perf_counter()
            done = commitments.commit(db)
            steps.append(time.perf_counter() - started)
        plain = seconds(lambda: _verify(db, signals=False))
        with_signals = seconds(lambda: _verify(db, signals=True))
    return {
        "older": count,
        "commit_rate": count / sum(steps),
        "batch_ms": statistics.median(steps) * 1e3,
        "verify_seconds": plain,
        "verify_signals_seconds": with_signals,
    }


def _verify(db: HashDB, *, signals: bool) -> None:
    assert verify(db, COMMAND_LINE, signals=signals).findings == ()


def _targets(figures: Figures) -> Sequence[Target]:
    return [
        Target(
            f"contributions/s with commitments, {name}",
            f"≥ {_LEAST:.0%} of without",
            f"{rates['ratio']:.1%}",
            rates["ratio"] >= _LEAST,
        )
        for name, rates in figures["rates"].items()
    ]


def _lines(figures: Figures) -> Sequence[str]:
    rows = [
        (name, report.number(rates["with"]), report.number(rates["without"]), f"{rates['ratio']:.1%}")
        for name, rates in figures["rates"].items()
    ]
    older = f"{figures['older']:,} contributions"
    return [
        "",
        "Contributions from one client that waits for each response, through the WSGI application, in SQLite.",
        f"With commitments and without in turns, {_ROUNDS} rounds; the fastest twentieth of the requests counts.",
        f"The load of the machine was {report.number(figures['load'])}.",
        *report.table(("a request has", "with", "without", "ratio"), rows),
        *report.table(
            ("", ""),
            [
                ("committing to contributions of before the upgrade", f"{figures['commit_rate']:,.0f} a second"),
                ("a batch of 500 of them", f"{report.number(figures['batch_ms'])} ms"),
                (f"verification, {older} with 4 signals each", f"{report.number(figures['verify_seconds'])} s"),
                ("the same with `--signals`", f"{report.number(figures['verify_signals_seconds'])} s"),
            ],
        ),
    ]


PART = Part("Commitments to signals", _measure, _targets, _lines)
