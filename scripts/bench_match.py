"""Measure POST /v1/matches in one process: a miss, a hit, and batches of 1,000.

    scripts/bench match [--against REV] [--quick]

The request goes to the WSGI application, without a server and a network. Only the fastest twentieth of each round and
the fastest round count: other work on the machine can only make a request slower. With --against, the code of a Git
revision answers the same requests in a separate process, in alternating rounds.
"""

from __future__ import annotations

import argparse
import gc
import io
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import hashdb
from hashdb.settings import Settings
from hashdb.web import create_app

try:
    from hashdb.cli.home import open_home
    from hashdb.domain.accounts.members import COMMAND_LINE, KeyDraft, MemberDraft, MemberKind, Scope
    from hashdb.service.accounts import members
except ImportError:
    # In the code of version 0.1.0, the modules are in other folders.
    from importlib import import_module

    open_home = import_module("hashdb.cli.home").opened
    members = import_module("hashdb.service.members")
    old = import_module("hashdb.domain.members")
    COMMAND_LINE, KeyDraft, MemberDraft = old.COMMAND_LINE, old.KeyDraft, old.MemberDraft  # type: ignore[misc]
    MemberKind, Scope = old.MemberKind, old.Scope  # type: ignore[misc]

ROOT = Path(__file__).parents[1]
_STORED, _BATCH = 2_000, 1_000
Times = dict[str, float]
"""Seconds of a response, by the kind of request."""


def main() -> None:
    """Measure this checkout, and the version of --against in turns with it; print a table."""
    parser = argparse.ArgumentParser(prog="scripts/bench match", description=__doc__.partition("\n")[0])
    parser.add_argument("--against", metavar="REV", help="a revision of this repository to measure in turns with")
    parser.add_argument("--quick", action="store_true", help="10 rounds instead of 60")
    arguments = parser.parse_args()
    rounds = 10 if arguments.quick else 60
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {_STORED:,} values, {rounds} rounds")
    with tempfile.TemporaryDirectory(prefix="hashdb-bench-") as name, ExitStack() as stack:
        versions = {"this": ROOT}
        if arguments.against:
            versions[arguments.against] = export_revision(arguments.against, Path(name) / "code")
        running = {
            version: stack.enter_context(_running(code, Path(name) / f"home-{number}"))
            for number, (version, code) in enumerate(versions.items())
        }
        times: dict[str, list[Times]] = {version: [] for version in versions}
        for _ in range(rounds):
            for version, process in running.items():
                times[version].append(_run_round(process))
    _print(
        {
            version: {kind: min(each[kind] for each in of_version) for kind in of_version[0]}
            for version, of_version in times.items()
        }
    )


def export_revision(revision: str, folder: Path) -> Path:
    """Export a revision and install the packages that it needs; return its folder."""
    folder.mkdir()
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, check=True, stdout=subprocess.PIPE)
    subprocess.run(["tar", "-x", "-C", folder], input=archive.stdout, check=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run(["scripts/setup", "dev"], cwd=folder, env=environment, check=True)
    return folder


def python_for(code: Path) -> str:
    """The Python for the code of a folder: this one for this checkout, else that of the environment in the folder."""
    return sys.executable if code == ROOT else str(code / ".venv" / "bin" / "python")


@contextmanager
def _running(code: Path, home: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a process that runs `answer` with the code of a folder."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")}
    environment |= {"PYTHONPATH": str(code), "HASHDB_HOME": str(home)}
    command = [python_for(code), "-P", __file__, "--answer"]
    with subprocess.Popen(
        command, env=environment, cwd=home.parent, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        package = Path(process.stdout.readline().strip())
        assert package.is_relative_to(code), package
        yield process
        process.stdin.close()


def _run_round(process: subprocess.Popen[str]) -> Times:
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write("\n")
    process.stdin.flush()
    times: Times = json.loads(process.stdout.readline())
    return times


def _print(times: dict[str, Times]) -> None:
    first, *others = times
    print("| | " + " | ".join([first, *(f"{other} | ratio" for other in others)]) + " |")
    print("|---" * (2 + 2 * len(others)) + "|")
    for kind, seconds in times[first].items():
        cells = [f"{seconds * 1e6:,.0f} µs"]
        for other in others:
            cells += [f"{times[other][kind] * 1e6:,.0f} µs", f"{seconds / times[other][kind]:.2f}"]
        print(f"| {kind} | " + " | ".join(cells) + " |")


def answer() -> None:
    """Fill a home and print the path of the package; then print the times of a round for each line on stdin."""
    rng, settings = random.Random(1), Settings.read()
    stored, unknown = ([_signal(rng) for _ in range(_STORED)] for _ in range(2))
    with open_home(settings) as db:
        member = members.add(db, COMMAND_LINE, MemberDraft("Member", MemberKind.PLATFORM)).id
        scopes = frozenset({Scope.CONTRIBUTE, Scope.MATCH})
        secret = members.issue_key(db, COMMAND_LINE, member, KeyDraft(scopes)).secret
        app = create_app(db, settings)
        for start in range(0, _STORED, _BATCH):
            items = [_contribution(signal) for signal in stored[start : start + _BATCH]]
            timed_request(app, secret, "/v1/contributions", {"contributions": items})
        requests = {
            "a miss": [_queries(unknown[:1])] * 200,
            "a hit": [_queries(stored[:1])] * 200,
            "1,000 misses": [_queries(unknown[:_BATCH])] * 3,
            "1,000 hits": [_queries(stored[:_BATCH])] * 3,
        }
        # Configure the garbage collector as the service does.
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000)
        print(hashdb.__file__, flush=True)
        for _ in sys.stdin:
            # The service stores the statistics each second. In 0.1.0 they have other names.
            stats = vars(db).get("stats") or vars(db)["tallies"]
            stats.take()
            (stats.mark_stored if hasattr(stats, "mark_stored") else stats.written)()
            times = {kind: _fast([timed_request(app, secret, "/v1/matches", body) for body in bodies])
                     for kind, bodies in requests.items()}  # fmt: skip
            print(json.dumps(times), flush=True)


def _signal(rng: random.Random) -> str:
    return f"pdq:{sum(1 << bit for bit in rng.sample(range(256), 128)):064x}"


def _contribution(signal: str) -> dict[str, Any]:
    return {"signals": [signal], "labels": ["glorification"], "quality": 90, "removed_at": "2026-05-01T00:00:00Z"}


def _queries(signals: Sequence[str]) -> dict[str, Any]:
    return {"queries": [{"signals": [signal]} for signal in signals]}


def _fast(times: list[float]) -> float:
    return sorted(times)[len(times) // 20]


def timed_request(app: Any, secret: str, path: str, content: dict[str, Any]) -> float:
    """Send a request to the application; return the seconds until it is answered."""
    body, statuses = json.dumps(content).encode(), []
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": path,
        "CONTENT_TYPE": "application/json",
        "CONTENT_LENGTH": str(len(body)),
        "HTTP_AUTHORIZATION": f"Bearer {secret}",
        "wsgi.input": io.BytesIO(body),
        "wsgi.multithread": True,
    }
    setup_testing_defaults(environ)
    environ["SCRIPT_NAME"] = ""
    started = time.perf_counter()
    b"".join(app.wsgi_app(environ, lambda status, headers, error=None: statuses.append(status)))
    seconds = time.perf_counter() - started
    assert statuses[0].startswith("20"), statuses
    return seconds


if __name__ == "__main__":
    answer() if sys.argv[1:] == ["--answer"] else main()
