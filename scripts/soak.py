"""Send requests of members while a fault occurs every few seconds; count answered, lost, wrong and refused ones."""

from __future__ import annotations

import argparse
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from scripts.benchmarks import report
from tests.faults.scene import Scene
from tests.postgres import OwnServer, own_server
from tests.processes import children

_READERS = "For operators: what members notice while services and databases fail."
_SETTINGS = {"HASHDB_BUSY_SECONDS": "3"}
_FAULT_INTERVAL = 4.0
"""The average seconds between two faults."""
_CHECK_INTERVAL = 60.0
"""Seconds between two checks of all responses against the ledger."""
_BURST = 1_000
DATABASES = ("sqlite", "postgresql")
Fault = Callable[[], object]


def main() -> int:
    """Test both databases at the same time; return 1 if anything is lost or wrong."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="duration (default: 600)")
    parser.add_argument("--seed", type=int, default=1, help="seed of the faults and of the requests")
    parser.add_argument("--database", choices=DATABASES, help="test only this database")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/soak.md")
    arguments = parser.parse_args()
    soaks = [_Soak(name, arguments.seed) for name in DATABASES if arguments.database in (None, name)]
    with ThreadPoolExecutor() as pool:
        results = list(pool.map(lambda soak: soak.run(arguments.seconds), soaks))
    if arguments.write:
        _write(results, arguments.seconds, arguments.seed)
    return int(any(result["lost"] or result["wrong"] for result in results))


class _Soak:
    """A database and its services."""

    def __init__(self, database: str, seed: int) -> None:
        self.database, self.seed = database, seed
        self.rng = random.Random(seed)
        self.faults: Counter[str] = Counter()

    def run(self, seconds: float) -> dict[str, int | str]:
        """Cause faults for this number of seconds; return the result."""
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hashdb-soak-")))
            server = url = None
            if self.database == "postgresql":
                server = stack.enter_context(own_server())
                url = stack.enter_context(server.new_database())
            # PostgreSQL has two replicas; SQLite has one service with two workers.
            count = 2 if server else 1
            scene = stack.enter_context(Scene(folder, url, services=count, workers=3 - count, settings=_SETTINGS))
            self._cause_faults(scene.start(), server, seconds)
            return self._result(scene, seconds)

    def _cause_faults(self, scene: Scene, server: OwnServer | None, seconds: float) -> None:
        faults = {"a worker is killed": self._kill_a_worker, "a service is killed": self._kill_a_service}
        faults |= {"a service is paused": self._pause, "a thousand contributions at once": self._burst}
        until, turn = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            turn += 1
            pause = min(until, time.monotonic() + _CHECK_INTERVAL)
            with scene.busy(self.seed + turn * 100):
                while time.monotonic() < pause:
                    time.sleep(self.rng.uniform(0.5, 1.5) * _FAULT_INTERVAL)
                    if server is not None and self.rng.random() < 0.4:
                        self._break_postgresql(server)
                        continue
                    name = self.rng.choice(list(faults))
                    self.faults[name] += 1
                    faults[name](scene)
            scene.check()
            print(f"{self.database}: {turn} min, {dict(scene.ledger.counts)}, nothing lost", flush=True)

    def _kill_a_worker(self, scene: Scene) -> None:
        self.rng.choice(scene.services).kill_a_worker(self.rng.randrange(9))

    def _kill_a_service(self, scene: Scene) -> None:
        service = self.rng.choice(scene.services)
        service.kill()
        service.start(ready=False)

    def _pause(self, scene: Scene) -> None:
        self.rng.choice(scene.services).pause(self.rng.uniform(0.5, 5))

    def _burst(self, scene: Scene) -> None:
        for service in scene.services:
            service.await_ready()
        scene.fill(_BURST)

    def _break_postgresql(self, server: OwnServer) -> None:
        fault = self.rng.choice(
            ("PostgreSQL is killed", "PostgreSQL is unreachable", "one of its connections is killed")
        )
        self.faults[fault] += 1
        if fault == "one of its connections is killed":
            os.kill(self.rng.choice(children(server.pid)), signal.SIGKILL)
            return
        server.kill() if fault == "PostgreSQL is killed" else server.stop()
        if fault == "PostgreSQL is unreachable":
            time.sleep(self.rng.uniform(1, 10))
        server.start()

    def _result(self, scene: Scene, seconds: float) -> dict[str, int | str]:
        counts = scene.ledger.counts
        result: dict[str, int | str] = {"database": self.database, "seconds": int(seconds)}
        result["faults"] = self.faults.total()
        # `check` has raised an error if anything was lost or wrong.
        result |= {name: counts[name] for name in ("answered", "refused", "broken")} | {"lost": 0, "wrong": 0}
        result["contributions"] = sum(len(group.ids) for group in scene.ledger.groups)
        print(
            f"{self.database}: {counts['answered']:,} answered, 0 lost, 0 wrong, {counts['refused']:,} refused; "
            f"{counts['broken']:,} connections broke in {self.faults.total()} faults: {dict(self.faults)}"
        )
        return result | dict(sorted(self.faults.items()))


def _write(results: list[dict[str, int | str]], seconds: float, seed: int) -> None:
    machine = report.machine("flask", "gunicorn", "sqlalchemy", "psycopg")
    heads = ["", *(str(result["database"]) for result in results)]
    names = list(dict.fromkeys(name for result in results for name in result if name != "database"))
    rows = [(name, *(f"{result.get(name, 0):,}" for result in results)) for name in names]
    lines = [
        *report.opening("Faults under load", _READERS, f"soak --seconds {seconds:.0f} --seed {seed} --write", machine),
        "",
        "Two members write and two read, one request after the other, while a fault occurs every few seconds.",
        "The test runs on both databases at once: one service with two workers on SQLite, and two services with one "
        "worker each on PostgreSQL.",
        "Once a minute the test compares every answer with the database, and verifies the log.",
        "This check may see no refused request, because every service has reported before that it is ready.",
        "",
        "- *lost*: accepted contributions that do not match;",
        "- *refused*: responses with status 503 and `Retry-After`;",
        "- *wrong*: responses with any other wrong content or status;",
        "- *broken*: connections to a process that was killed, or that had not started again.",
        *report.table(heads, rows),
    ]
    report.write("soak", lines, {"machine": machine, "seed": seed, "runs": results})


if __name__ == "__main__":
    raise SystemExit(main())
