"""Members at work while something breaks every few seconds: what was answered, lost, wrong and refused."""

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
_EVERY = 4.0
"""Seconds from one fault to the next, on average."""
_CHECKED = 60.0
"""Seconds after which all is held against the ledger in between."""
_BURST = 1_000
DATABASES = ("sqlite", "postgresql")
Fault = Callable[[], object]


def main() -> int:
    """Soak both databases at once; 1 where anything was lost or wrong."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="how long (default: 600)")
    parser.add_argument("--seed", type=int, default=1, help="of the order of faults and of what is asked")
    parser.add_argument("--database", choices=DATABASES, help="only that one")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks/soak.md")
    arguments = parser.parse_args()
    soaks = [_Soak(name, arguments.seed) for name in DATABASES if arguments.database in (None, name)]
    with ThreadPoolExecutor() as pool:
        told = list(pool.map(lambda soak: soak.run(arguments.seconds), soaks))
    if arguments.write:
        _write(told, arguments.seconds, arguments.seed)
    return int(any(one["lost"] or one["wrong"] for one in told))


class _Soak:
    """One database, and the services over it."""

    def __init__(self, database: str, seed: int) -> None:
        self.database, self.seed = database, seed
        self.rng = random.Random(seed)
        self.faults: Counter[str] = Counter()

    def run(self, seconds: float) -> dict[str, int | str]:
        """Let things break for so long; what came of it."""
        with ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hashdb-soak-")))
            server = url = None
            if self.database == "postgresql":
                server = stack.enter_context(own_server())
                url = stack.enter_context(server.new_database())
            # Replicas are for PostgreSQL; SQLite's service has two workers.
            many = 2 if server else 1
            scene = stack.enter_context(Scene(folder, url, services=many, workers=3 - many, settings=_SETTINGS))
            self._break(scene.start(), server, seconds)
            return self._told(scene, seconds)

    def _break(self, scene: Scene, server: OwnServer | None, seconds: float) -> None:
        faults = {"a worker is killed": self._kill_a_worker, "a service is killed": self._kill_a_service}
        faults |= {"a service is paused": self._pause, "a thousand contributions at once": self._burst}
        until, turn = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            turn += 1
            pause = min(until, time.monotonic() + _CHECKED)
            with scene.busy(self.seed + turn * 100):
                while time.monotonic() < pause:
                    time.sleep(self.rng.uniform(0.5, 1.5) * _EVERY)
                    if server is not None and self.rng.random() < 0.4:
                        self._break_postgresql(server)
                        continue
                    name = self.rng.choice(list(faults))
                    self.faults[name] += 1
                    faults[name](scene)
            scene.check()
            print(f"{self.database}: {turn} min, {dict(scene.ledger.counts)}, all is there", flush=True)

    def _kill_a_worker(self, scene: Scene) -> None:
        self.rng.choice(scene.services).kill_a_worker(self.rng.randrange(9))

    def _kill_a_service(self, scene: Scene) -> None:
        one = self.rng.choice(scene.services)
        one.kill()
        one.start(ready=False)

    def _pause(self, scene: Scene) -> None:
        self.rng.choice(scene.services).pause(self.rng.uniform(0.5, 5))

    def _burst(self, scene: Scene) -> None:
        for one in scene.services:
            one.await_ready()
        scene.fill(_BURST)

    def _break_postgresql(self, server: OwnServer) -> None:
        what = self.rng.choice(
            ("PostgreSQL is killed", "PostgreSQL is unreachable", "one of its connections is killed")
        )
        self.faults[what] += 1
        if what == "one of its connections is killed":
            os.kill(self.rng.choice(children(server.pid)), signal.SIGKILL)
            return
        server.kill() if what == "PostgreSQL is killed" else server.stop()
        if what == "PostgreSQL is unreachable":
            time.sleep(self.rng.uniform(1, 10))
        server.start()

    def _told(self, scene: Scene, seconds: float) -> dict[str, int | str]:
        counts = scene.ledger.counts
        # `check` has ended this where anything was lost or wrong.
        told: dict[str, int | str] = {"database": self.database, "seconds": int(seconds), "faults": self.faults.total()}
        told |= {name: counts[name] for name in ("answered", "refused", "broken")} | {"lost": 0, "wrong": 0}
        told["contributions"] = sum(len(group.ids) for group in scene.ledger.groups)
        print(
            f"{self.database}: {counts['answered']:,} answered, 0 lost, 0 wrong, {counts['refused']:,} refused; "
            f"{counts['broken']:,} connections broke in {self.faults.total()} faults: {dict(self.faults)}"
        )
        return told | dict(sorted(self.faults.items()))


def _write(told: list[dict[str, int | str]], seconds: float, seed: int) -> None:
    machine = report.machine("flask", "gunicorn", "sqlalchemy", "psycopg")
    heads = ["", *(str(one["database"]) for one in told)]
    names = list(dict.fromkeys(name for one in told for name in one if name != "database"))
    rows = [(name, *(f"{one.get(name, 0):,}" for one in told)) for name in names]
    lines = [
        *report.opening("Faults under load", _READERS, f"soak --seconds {seconds:.0f} --seed {seed} --write", machine),
        "",
        "Two members write and two read, one request after the other, while something breaks every few seconds.",
        "The test runs on both databases at once: one service with two workers on SQLite, and two services with one "
        "worker each on PostgreSQL.",
        "Once a minute the test compares every answer with the database, and verifies the log.",
        "This check may see no refused request, because every service has reported before that it is ready.",
        "",
        "- *lost*: contributions that were accepted and are not matched;",
        "- *refused*: answers of 503 with `Retry-After`;",
        "- *wrong*: answers with any other wrong content or status;",
        "- *broken*: connections to a process that was killed, or that had not started again.",
        *report.table(heads, rows),
    ]
    report.write("soak", lines, {"machine": machine, "seed": seed, "runs": told})


if __name__ == "__main__":
    raise SystemExit(main())
