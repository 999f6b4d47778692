"""Compare matches by the sidecar on a Unix socket with those by the service on a port, with the same contributions."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import numpy as np

from hashdb.client import Client
from hashdb.domain.accounts.members import Scope
from hashdb.domain.contributions import Draft
from hashdb.domain.signals import Algorithm, Signal
from hashdb.index.vectors import from_octets
from scripts.benchmarks import data, report
from scripts.benchmarks.homes import environment, new_home
from scripts.benchmarks.load import Load, LoadResult, send
from scripts.benchmarks.service import LABELS, match_bodies

WORKERS = 2
_KINDS = ((1, 1), (1, 8), (1, 32), (1_000, 2))
"""Queries in a request, and number of clients."""
_STARTS_WITHIN = 120.0


def main() -> None:
    """Print requests/s, p50 and p99 in milliseconds, and processor microseconds a request, for both."""
    parser = argparse.ArgumentParser(prog="python -m scripts.bench_sidecar", description=__doc__)
    parser.add_argument("--values", type=int, default=20_000, help="contributions of one PDQ hash (default: 20,000)")
    parser.add_argument("--seconds", type=float, default=3.0, help="seconds of each round (default: 3)")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds; the median is printed (default: 3)")
    arguments = parser.parse_args()
    values = sorted(set(data.balanced_values(np.random.default_rng(data.SEED), arguments.values, 256)))
    words = from_octets(b"".join(value.to_bytes(32) for value in values), 256)
    print(report.machine_sentence(report.machine("gunicorn", "pydantic", "numpy")))
    print(f"{WORKERS} worker processes, {arguments.values:,} values; one query in ten matches.")
    with tempfile.TemporaryDirectory(prefix="hashdb-bench-") as folder, ExitStack() as stack:
        loads = _loads(stack, Path(folder), values)
        for queries, clients in _KINDS:
            bodies = match_bodies(words, 500 if queries == 1 else 20, queries)
            rounds: dict[str, list[LoadResult]] = {name: [] for name in loads}
            for _ in range(arguments.rounds):
                for name, load in loads.items():
                    rounds[name].append(send(load._replace(bodies=bodies), clients, arguments.seconds))
            for name, figures in rounds.items():
                rate, p50, p99, work = (statistics.median(column) for column in zip(*figures, strict=True))
                print(
                    f"{queries:>5} queries by {clients:>2} clients, {name:<8} {rate:>7,.0f} requests/s"
                    f"   p50 {p50:6.2f} ms   p99 {p99:6.2f} ms   {work:7,.0f} µs of processor time"
                )


def _loads(stack: ExitStack, folder: Path, values: Sequence[int]) -> dict[str, Load]:
    """Start the service and the sidecar with the same contributions; return the load for each."""
    home, member_home, path = folder / "service", folder / "member", folder / "sidecar.sock"
    key, port = new_home(home, *Scope), "8127"
    url = f"http://127.0.0.1:{port}"
    variables = environment(member_home, HASHDB_URL=url, HASHDB_KEY=key)
    service = stack.enter_context(_running(environment(home), "serve", "--port", port, "--workers", str(WORKERS)))
    _wait_until_ready(httpx.HTTPTransport(), url)
    with Client(url, key, timeout=120) as client:
        client.contribute(
            [Draft((Signal(Algorithm.PDQ, value),), LABELS, None, 100) for value in values], imported=True
        )
    sidecar = stack.enter_context(
        _running(variables, "local", "serve", "--socket", str(path), "--workers", str(WORKERS))
    )
    _wait_until_ready(httpx.HTTPTransport(uds=str(path)), "http://sidecar", len(values))
    address = f"{url}/v1/matches"
    return {
        "service": Load(address, service, key, (), by_python=True),
        "sidecar": Load(address, sidecar, key, (), socket=str(path), by_python=True),
    }


@contextmanager
def _running(variables: dict[str, str], *arguments: str) -> Iterator[int]:
    """Run a command during the block; yield its process id."""
    process = subprocess.Popen([sys.executable, "-m", "hashdb", *arguments], env=variables, stderr=subprocess.DEVNULL)
    try:
        yield process.pid
    finally:
        process.terminate()
        process.wait(60)


def _wait_until_ready(transport: httpx.BaseTransport, url: str, contributions: int = 0) -> None:
    until = time.monotonic() + _STARTS_WITHIN
    with httpx.Client(transport=transport) as client:
        while time.monotonic() < until:
            try:
                response = client.get(f"{url}/readyz")
                if response.is_success and response.json().get("contributions", 0) >= contributions:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
    sys.exit(f"{url} did not become ready")


if __name__ == "__main__":
    main()
