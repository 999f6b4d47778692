"""Measure the application in other servers and with other numbers of threads.

Run `pip install granian gevent` first.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from hashdb.settings import Settings
from scripts.benchmarks import data, report, service
from scripts.benchmarks.engines import ROOT
from scripts.benchmarks.load import Load, send

_PORT = 8123
_APP = "scripts.benchmarks.application:app"
_GUNICORN = f"gunicorn -b 127.0.0.1:{_PORT} -w 2 --reuse-port --no-control-socket --log-level error {_APP} -k"
_GRANIAN = f"granian --interface wsgi --host 127.0.0.1 --port {_PORT} --workers 2 --no-log --http 1 {_APP}"
SERVERS = {
    "the worker of hashdb serve, 8 threads": f"{_GUNICORN} hashdb.cli.worker.ThreadedWorker --threads 8",
    "gunicorn gthread, 8 threads": f"{_GUNICORN} gthread --threads 8",
    "gunicorn gthread, 2 threads": f"{_GUNICORN} gthread --threads 2",
    "gunicorn sync": f"{_GUNICORN} sync",
    "gunicorn gevent": f"{_GUNICORN} gevent",
    "granian, 8 threads": f"{_GRANIAN} --blocking-threads 8 --runtime-mode st",
    "granian, 1 thread": f"{_GRANIAN} --blocking-threads 1",
}
_LOADS = ((1, 1), (1, 8), (1, 32), (1_000, 2))
"""Queries in a request, and number of clients."""


def main() -> None:
    """Measure each installed server with the same home."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--values", type=int, default=1_000_000, help="number of stored values (default: 1 M)")
    parser.add_argument("--seconds", type=float, default=4.0, help="seconds of each round (default: 4)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="hashdb-bench-") as folder:
        home = Path(folder)
        words = data.stored_values(arguments.values, 256)
        key = service.fill(f"sqlite:///{home / 'hashdb.sqlite'}", Settings().rules(), words)
        bodies = {queries: service.match_bodies(words, 20_000 // max(10, queries), queries) for queries, _ in _LOADS}
        rows = []
        for name, command in SERVERS.items():
            if not shutil.which(command.split()[0]):
                continue
            row = [name]
            with _running(command, home) as process:
                for queries, clients in _LOADS:
                    result = send(Load(_url("/v1/matches"), process, key, bodies[queries]), clients, arguments.seconds)
                    row.append(f"{result.rate * queries:,.0f} ({result.work / queries:,.0f}; {result.p99:,.0f})")
            rows.append(row)
        heads = ("server", *(f"{queries:,} by {clients} clients" for queries, clients in _LOADS))
        print("\n".join(["Queries/s (processor µs each; p99 ms of a request):", *report.table(heads, rows)]))


def _url(path: str) -> str:
    return f"http://127.0.0.1:{_PORT}{path}"


@contextmanager
def _running(command: str, home: Path) -> Iterator[int]:
    """Run a server during the block; yield its process id once it is ready."""
    environ = os.environ | {"HASHDB_HOME": str(home), "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command.split(), env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 60
        while not _ready():
            if process.poll() is not None or time.monotonic() > until:
                sys.exit(f"the server does not start: {command}")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


def _ready() -> bool:
    try:
        return httpx.get(_url("/readyz")).is_success
    except httpx.HTTPError:
        return False


if __name__ == "__main__":
    main()
