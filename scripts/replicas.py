"""Services on hosts of their own over one PostgreSQL: what one takes the others match at once, and the rate of all."""

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
"""Of addresses that are nobody's on this machine; the bridge, where PostgreSQL listens, is .1."""
_CLIENTS = 8
_ASKED = 500
_SECONDS = 6.0


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="scripts/replicas", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="two hosts, nothing missed, in some seconds; nothing is written"
    )
    parser.add_argument("--values", type=int, default=100_000, help="how many hashes are stored (default: 100,000)")
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        raise SystemExit("hashdb: scripts/replicas makes network namespaces: run it as root")
    # As it does at an interrupt: what was made is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with tempfile.TemporaryDirectory(prefix="hashdb-replicas-") as name:
        folder = Path(name)
        if arguments.quick:
            print(quick(folder, 200))
            return
        words = data.stored_values(arguments.values, 256)
        bodies = service.match_bodies(words, 500, 1)
        with _database(folder, max(HOSTS), words) as (url, key):
            rows = [_measured(folder, url, key, many, bodies) for many in HOSTS]
    heads = ("hosts", "contributions, each matched on another host", "missed", "matches/s", "p50 ms", "p99 ms",
             "processor µs a match", "contributions/s")  # fmt: skip
    table = report.table(heads, rows)
    _write(table, arguments.values)


def quick(folder: Path, asked: int) -> str:
    """What came of so many contributions with two hosts. Raises AssertionError where one was missed."""
    with _database(folder, 2, data.stored_values(1_000, 256)) as (url, key), _services(folder, url, 2) as hosts:
        missed = _missed(hosts, key, asked, 2)
    assert missed == 0, f"{missed} of {asked} contributions were not matched on another host"
    return f"{asked} contributions, each matched on another host in the next request, 0 missed"


@contextmanager
def _database(folder: Path, hosts: int, words: Words) -> Iterator[tuple[str, str]]:
    """PostgreSQL with these values, and so many hosts that reach it; its URL, and a key."""
    with network(hosts) as bridge, own_server(host=bridge) as server, server.new_database() as local:
        url = local.replace("@/", f"@{bridge}/").partition("?")[0]
        upgraded = Service(folder / "home-0", _settings(folder, url)).command("upgrade")
        assert upgraded.returncode == 0, upgraded
        yield url, service.fill(url, Settings().rules(), words)


def _settings(folder: Path, url: str) -> dict[str, str]:
    # The bridge is the whole network that there is.
    key = str(folder / "signing.key")
    return {"HASHDB_DATABASE_URL": url, "HASHDB_SIGNING_KEY_FILE": key, "HASHDB_BEHIND_TLS": "true"}


@contextmanager
def _services(folder: Path, url: str, many: int) -> Iterator[list[Service]]:
    """One on each of so many hosts, ready."""
    with ExitStack() as stack:
        hosts = [
            Service(
                folder / f"home-{number}",
                _settings(folder, url),
                workers=1,
                before=("ip", "netns", "exec", _named(number)),
                host=f"{_NETWORK}.{number + 1}",
                log=folder / "services.log",
            )
            for number in range(1, many + 1)
        ]
        for one in hosts:
            stack.enter_context(one).start(ready=False)
        for one in hosts:
            one.await_ready()
        yield hosts


def _measured(folder: Path, url: str, key: str, many: int, bodies: list[bytes]) -> tuple[str, ...]:
    """A row: with so many hosts."""
    with _services(folder, url, many) as hosts, ExitStack() as stack:
        missed = _missed(hosts, key, _ASKED, many)
        loads = [Load(f"{one.url}/v1/matches", one.pid, key, bodies) for one in hosts]
        sending = [stack.enter_context(Sending(load, _CLIENTS, _SECONDS)) for load in loads]
        told = [load.result() for load in sending]
        rate = _contributed(hosts, key, _SECONDS, many)
    means = [float(np.mean([getattr(one, name) for one in told])) for name in ("p50", "p99", "work")]
    return (
        str(many),
        f"{_ASKED:,}",
        str(missed),
        number(sum(one.rate for one in told)),
        *map(number, means),
        number(rate),
    )


def _missed(hosts: list[Service], key: str, asked: int, seed: int) -> int:
    """How many contributions that one host answered another one did not match in the very next request."""
    rng, ledger, missed = random.Random(seed), Ledger(seed * 10_000_000), 0
    with ExitStack() as stack:
        clients = [stack.enter_context(client_of(one.url, key)) for one in hosts]
        for _ in range(asked):
            one, other = rng.sample(clients, 2) if len(clients) > 1 else clients * 2
            group = ledger.new(1)
            contribute(ledger, one, group)
            assert group.outcome is Outcome.ANSWERED, ledger.errors
            missed += match_all(other, group.seeds) != {seed: [id] for seed, id in group.ids.items()}
    return missed


def _contributed(hosts: list[Service], key: str, seconds: float, seed: int) -> float:
    """Contributions a second, of one item each, by two members at each host at once."""
    ledger, until = Ledger(seed * 10_000_000 + 5_000_000), time.monotonic() + seconds

    def work(host: Service) -> None:
        with client_of(host.url, key) as client:
            while time.monotonic() < until:
                contribute(ledger, client, ledger.new(1))

    with ThreadPoolExecutor(2 * len(hosts)) as pool:
        list(pool.map(work, hosts * 2))
    assert not ledger.errors, ledger.errors[:3]
    return ledger.counts["answered"] / seconds


def _named(number: int) -> str:
    return f"hashdb-replica-{number}"


@contextmanager
def network(hosts: int) -> Iterator[str]:
    """So many hosts of a network of their own, by its bridge; yields the address of that."""
    bridge = f"{_NETWORK}.1"
    with ExitStack() as stack:
        run("ip", "link", "add", "hashdb0", "type", "bridge")
        stack.callback(run, "ip", "link", "del", "hashdb0")
        run("ip", "address", "add", f"{bridge}/24", "dev", "hashdb0")
        run("ip", "link", "set", "hashdb0", "up")
        for number in range(1, hosts + 1):
            name, here = _named(number), f"hashdb0-{number}"
            run("ip", "netns", "add", name)
            stack.callback(run, "ip", "netns", "del", name)
            run("ip", "link", "add", here, "type", "veth", "peer", "name", "eth0", "netns", name)
            run("ip", "link", "set", here, "master", "hashdb0", "up")
            inside = ("ip", "-n", name)
            run(*inside, "address", "add", f"{_NETWORK}.{number + 1}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                run(*inside, "link", "set", device, "up")
        yield bridge


def run(*words: str) -> None:
    """Run a command. Raises SystemExit with what it says where it fails."""
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
