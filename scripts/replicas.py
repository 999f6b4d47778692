"""Measure services on separate hosts with one PostgreSQL: what each matches, and the rate of all."""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from hashdb.index.vectors import Words
from hashdb.settings import Settings
from scripts.benchmarks import data, report, service
from scripts.benchmarks.load import Load, Sending, client
from scripts.benchmarks.report import number
from tests.faults.ledger import Ledger, Outcome, match_all
from tests.faults.services import Service
from tests.faults.traffic import client_of, contribute
from tests.postgres import own_server

_READERS = "For operators of several machines: that every machine matches what another one accepted, and at what rate."
HOSTS = (1, 2, 4)
_NETWORK = "10.119.53"
"""A network without other addresses on this machine. PostgreSQL listens on the bridge, which is .1."""
_CLIENTS = 8
_CONTRIBUTIONS = 500
_SECONDS = 6.0


def main() -> None:
    """Measure, and write the page."""
    parser = argparse.ArgumentParser(prog="scripts/replicas", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="check two hosts in some seconds; write no page")
    parser.add_argument("--values", type=int, default=100_000, help="number of stored hashes (default: 100,000)")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("hashdb: scripts/replicas makes network namespaces: run it as root")
    # Exit as after an interrupt, so that the namespaces are removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="hashdb-replicas-") as name:
        folder = Path(name)
        if arguments.quick:
            print(quick(folder, 200))
            return
        words = data.stored_values(arguments.values, 256)
        bodies = service.match_bodies(words, 500, 1)
        with _database(folder, max(HOSTS), words) as (url, key):
            rows = [_measure(folder, url, key, count, bodies) for count in HOSTS]
    heads = ("hosts", "contributions, each matched on another host", "missed", "matches/s", "p50 ms", "p99 ms",
             "processor µs a match", "contributions/s")  # fmt: skip
    table = report.table(heads, rows)
    _write(table, arguments.values)


def quick(folder: Path, contributions: int) -> str:
    """Contribute on one host and match on another one; return the result. Raises AssertionError if one is missed."""
    with _database(folder, 2, data.stored_values(1_000, 256)) as (url, key), _services(folder, url, 2) as hosts:
        missed = _count_missed(hosts, key, contributions, 2)
    assert missed == 0, f"{missed} of {contributions} contributions were not matched on another host"
    return f"{contributions} contributions, each matched on another host in the next request, 0 missed"


@contextmanager
def _database(folder: Path, hosts: int, words: Words) -> Iterator[tuple[str, str]]:
    """Run a PostgreSQL with these values and a network of hosts that reach it; yield its URL and a key."""
    with network(hosts) as bridge, own_server(host=bridge) as server, server.new_database() as local:
        url = local.replace("@/", f"@{bridge}/").partition("?")[0]
        upgraded = Service(folder / "home-0", _settings(folder, url)).command("upgrade")
        assert upgraded.returncode == 0, upgraded
        yield url, service.fill(url, Settings().rules(), words)


def _settings(folder: Path, url: str) -> dict[str, str]:
    # Declare TLS: the network is only the bridge on this machine.
    key = str(folder / "signing.key")
    return {"HASHDB_DATABASE_URL": url, "HASHDB_SIGNING_KEY_FILE": key, "HASHDB_BEHIND_TLS": "true"}


@contextmanager
def _services(folder: Path, url: str, count: int) -> Iterator[list[Service]]:
    """Run a service on each of `count` hosts; yield them once they are ready."""
    with ExitStack() as stack:
        hosts = [
            Service(
                folder / f"home-{number}",
                _settings(folder, url),
                workers=1,
                before=("ip", "netns", "exec", _namespace(number)),
                host=f"{_NETWORK}.{number + 1}",
                log=folder / "services.log",
            )
            for number in range(1, count + 1)
        ]
        for host in hosts:
            stack.enter_context(host).start(ready=False)
        for host in hosts:
            host.await_ready()
        yield hosts


def _measure(folder: Path, url: str, key: str, count: int, bodies: list[bytes]) -> tuple[str, ...]:
    """Measure with `count` hosts; return the row of the table."""
    with _services(folder, url, count) as hosts, ExitStack() as stack:
        missed = _count_missed(hosts, key, _CONTRIBUTIONS, count)
        loads = [Load(f"{host.url}/v1/matches", host.pid, key, bodies) for host in hosts]
        sending = [stack.enter_context(Sending(load, _CLIENTS, _SECONDS)) for load in loads]
        results = [load.result() for load in sending]
        rate = _contributions_a_second(hosts, key, _SECONDS, count)
    means = [float(np.mean([getattr(result, name) for result in results])) for name in ("p50", "p99", "work")]
    return (
        str(count),
        f"{_CONTRIBUTIONS:,}",
        str(missed),
        number(sum(result.rate for result in results)),
        *map(number, means),
        number(rate),
    )


def _count_missed(hosts: list[Service], key: str, contributions: int, seed: int) -> int:
    """Count the contributions to one host that another host does not match in the next request."""
    rng, ledger, missed = random.Random(seed), Ledger(seed * 10_000_000), 0
    with ExitStack() as stack:
        clients = [stack.enter_context(client_of(host.url, key)) for host in hosts]
        for _ in range(contributions):
            contributor, matcher = rng.sample(clients, 2) if len(clients) > 1 else clients * 2
            group = ledger.new(1)
            contribute(ledger, contributor, group)
            assert group.outcome is Outcome.ANSWERED, ledger.errors
            missed += match_all(matcher, group.seeds) != {seed: [id] for seed, id in group.ids.items()}
    return missed


def _contributions_a_second(hosts: list[Service], key: str, seconds: float, seed: int) -> float:
    """Contributions a second, with one item in each request and two clients for each host."""
    ledger, until = Ledger(seed * 10_000_000 + 5_000_000), time.monotonic() + seconds

    def work(host: Service) -> None:
        with client_of(host.url, key) as client:
            while time.monotonic() < until:
                contribute(ledger, client, ledger.new(1))

    with ThreadPoolExecutor(2 * len(hosts)) as pool:
        list(pool.map(work, hosts * 2))
    assert not ledger.errors, ledger.errors[:3]
    return ledger.counts["answered"] / seconds


def _namespace(number: int) -> str:
    return f"hashdb-replica-{number}"


@contextmanager
def network(hosts: int) -> Iterator[str]:
    """Create a network with `hosts` hosts and a bridge; yield the address of the bridge."""
    bridge = f"{_NETWORK}.1"
    with ExitStack() as stack:
        run("ip", "link", "add", "hashdb0", "type", "bridge")
        stack.callback(run, "ip", "link", "del", "hashdb0")
        run("ip", "address", "add", f"{bridge}/24", "dev", "hashdb0")
        run("ip", "link", "set", "hashdb0", "up")
        for number in range(1, hosts + 1):
            name, device_on_bridge = _namespace(number), f"hashdb0-{number}"
            run("ip", "netns", "add", name)
            stack.callback(run, "ip", "netns", "del", name)
            run("ip", "link", "add", device_on_bridge, "type", "veth", "peer", "name", "eth0", "netns", name)
            run("ip", "link", "set", device_on_bridge, "master", "hashdb0", "up")
            in_namespace = ("ip", "-n", name)
            run(*in_namespace, "address", "add", f"{_NETWORK}.{number + 1}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                run(*in_namespace, "link", "set", device, "up")
        yield bridge


def run(*words: str) -> None:
    """Run a command. Raises SystemExit with its error output if it fails."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"hashdb: {' '.join(words)}: {done.stderr.strip()}")


def _write(table: list[str], values: int) -> None:
    machine = report.machine("flask", "gunicorn", "sqlalchemy", "psycopg")
    lines = [
        *report.opening("Replicas", _READERS, "replicas", machine),
        f"One PostgreSQL has {values:,} hashes; each service has one worker and its own host.",
        "A host is a network namespace on a bridge, with its own address, home and index.",
        f"The load is {client()} with {_CLIENTS} connections to each host, and one query in each request.",
        "",
        "**All hosts, PostgreSQL and the load share the cores of this one machine**, so these limit the rate.",
        "The rate shows that the hosts do not slow each other down; the processor time of a match shows what a "
        "separate machine would add.",
        "With one host, that host matches what it accepted itself.",
        "PostgreSQL runs without `fsync`, as the tests start it, so the figures include no waiting for a disk.",
        *table,
        "The log serialises all contributions, whichever host accepts them: more hosts do not raise their rate.",
    ]
    report.write("replicas", lines, {"machine": machine, "table": table})


if __name__ == "__main__":
    main()
