"""Measure the start of the command line; write docs/benchmarks/start.md and start.json.

    scripts/bench start [--against REV] [--rounds N] [--quick]

Each command runs in a new process, in turns in both versions. The processor time of the fastest run counts: other work
on the machine can only make a run slower.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from hashdb.cli.home import open_home
from hashdb.domain.accounts.members import COMMAND_LINE, KeyDraft, MemberDraft, MemberKind, Scope
from hashdb.service.accounts import members
from hashdb.settings import Settings
from scripts.bench_match import export_revision, python_for
from scripts.benchmarks import data, report, service
from scripts.benchmarks.report import Target
from tests.serving import serving

PICTURE = report.ROOT / "hashdb" / "test.png"
IMPORT, TAB = "import hashdb", "Tab key after hashdb contribute x.jpg --label g"
COMMANDS: dict[str, tuple[str, ...]] = {
    IMPORT: (),
    "hashdb --help": ("--help",),
    "hashdb --version": ("--version",),
    "hashdb match --help": ("match", "--help"),
    "hashdb hash PICTURE": ("hash", str(PICTURE)),
    "hashdb hash PICTURE, by pdq only": ("hash", "--algorithm", "pdq", str(PICTURE)),
    "hashdb match PICTURE": ("match", str(PICTURE)),
    "hashdb match --local PICTURE": ("match", "--local", str(PICTURE)),
    "hashdb case list": ("case", "list"),
    "hashdb member list": ("member", "list"),
}
COMPLETIONS = {
    "Tab key after hashdb ma": "hashdb ma",
    TAB: "hashdb contribute x.jpg --label g",
    "Tab key after hashdb key add 3 --scope m": "hashdb key add 3 --scope m",
}
"""The typed text before the Tab key."""
TARGETS = {
    IMPORT: 0.1,
    "hashdb --help": 0.25,
    TAB: 0.25,
    "hashdb match PICTURE": 0.5,
    "hashdb match --local PICTURE": 0.5,
}
"""The largest time of a process, in seconds."""
READY = 1.0
"""The largest time until `hashdb serve` is ready, in seconds."""


class Run(NamedTuple):
    """The times of a process, in seconds."""

    processor: float
    elapsed: float


def main() -> None:
    """Run each command against a service, in turns, and write the fastest run of each."""
    parser = argparse.ArgumentParser(prog="scripts/bench start", description=__doc__.partition("\n")[0])
    parser.add_argument("--against", metavar="REV", help="a revision of this repository to compare with")
    parser.add_argument("--rounds", type=int, default=10, help="number of runs of each command, 10 by default")
    parser.add_argument(
        "--values", type=int, default=1_000_000, help="number of values of `hashdb serve` (default: 1 M)"
    )
    parser.add_argument("--quick", action="store_true", help="run 3 rounds; write no page")
    arguments = parser.parse_args()
    rounds = 3 if arguments.quick else arguments.rounds
    with tempfile.TemporaryDirectory(prefix="hashdb-bench-") as name:
        folder = Path(name)
        versions = {"this": report.ROOT}
        if arguments.against:
            versions[arguments.against] = export_revision(arguments.against, folder / "code")
        home = folder / "home"
        with serving(home, workers=1) as url:
            settings = {"HASHDB_HOME": str(home), "HASHDB_URL": url, "HASHDB_KEY": _key(home)}
            _run(report.ROOT, ("sync",), settings)
            fastest = _measure(versions, settings, rounds)
        ready = _ready_seconds(folder / "full", arguments.values, rounds)
    rows = _rows(fastest)
    if arguments.quick:
        print("\n".join(report.table(_columns(fastest), rows)))
        print(f"ready with {arguments.values:,} values after {ready:.2f} s")
    else:
        _write(fastest, rows, rounds, arguments.values, ready)


def _key(home: Path) -> str:
    with open_home(Settings(home=home)) as db:
        member = members.add(db, COMMAND_LINE, MemberDraft("Member", MemberKind.PLATFORM))
        return members.issue_key(db, COMMAND_LINE, member.id, KeyDraft(frozenset({Scope.MATCH, Scope.FEED}))).secret


def _measure(versions: Mapping[str, Path], settings: Mapping[str, str], rounds: int) -> dict[str, dict[str, Run]]:
    """The fastest run of each command, by version."""
    fastest: dict[str, dict[str, Run]] = {version: {} for version in versions}
    for _ in range(rounds):
        for name in (*COMMANDS, *COMPLETIONS):
            for version, code in versions.items():
                if name in COMMANDS:
                    run = _run(code, COMMANDS[name], settings)
                else:
                    typed = {"COMP_WORDS": COMPLETIONS[name], "COMP_CWORD": str(COMPLETIONS[name].count(" "))}
                    run = _run(code, ("complete",), {"_HASHDB_COMPLETE": "bash_complete", **typed})
                before = fastest[version].get(name, run)
                fastest[version][name] = Run(*map(min, run, before))
    return fastest


def _run(code: Path, arguments: tuple[str, ...], settings: Mapping[str, str]) -> Run:
    """Run a command, or `import hashdb` without arguments, with the code of a folder. Raises CalledProcessError."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("HASHDB_")}
    command = [python_for(code), "-P", *(("-m", "hashdb", *arguments) if arguments else ("-c", IMPORT))]
    started, before = time.monotonic(), os.times()
    subprocess.run(command, env=variables | {"PYTHONPATH": str(code)} | dict(settings), check=True, capture_output=True)
    after, elapsed = os.times(), time.monotonic() - started
    user, system = after.children_user - before.children_user, after.children_system - before.children_system
    return Run(user + system, elapsed)


def _ready_seconds(home: Path, values: int, rounds: int) -> float:
    """The seconds until `hashdb serve` is ready with `values` values and an existing index, in the fastest round."""
    home.mkdir(mode=0o700)
    service.fill(f"sqlite:///{home / 'hashdb.sqlite'}", Settings(home=home).rules(), data.stored_values(values, 256))
    with serving(home, within=300):
        # Builds the index.
        pass
    times = []
    for _ in range(rounds):
        started = time.monotonic()
        with serving(home):
            times.append(time.monotonic() - started)
    return min(times)


def _columns(fastest: Mapping[str, Mapping[str, Run]]) -> list[str]:
    _, *others = fastest
    columns = ["command", "processor s", "elapsed s"]
    return [*columns, *(head for other in others for head in (f"processor s, {other}", "ratio"))]


def _rows(fastest: Mapping[str, Mapping[str, Run]]) -> list[list[str]]:
    first, *others = fastest.values()
    rows = []
    for name, run in first.items():
        row = [f"`{name}`", f"{run.processor:.2f}", f"{run.elapsed:.2f}"]
        for other in others:
            row += [f"{other[name].processor:.2f}", f"{run.processor / other[name].processor:.2f}"]
        rows.append(row)
    return rows


def _write(
    fastest: Mapping[str, Mapping[str, Run]], rows: list[list[str]], rounds: int, values: int, ready: float
) -> None:
    machine = report.machine("click", "httpx", "numpy", "pydantic")
    this = next(iter(fastest.values()))
    targets = [
        Target(f"{kind} time of `{name}`", f"≤ {limit:g} s", f"{seconds:.2f} s", seconds <= limit)
        for name, limit in TARGETS.items()
        for kind, seconds in this[name]._asdict().items()
    ]  # fmt: skip
    name = f"`hashdb serve` ready with {values:,} values, two workers"
    targets.append(Target(name, f"≤ {READY:g} s", f"{ready:.2f} s", ready <= READY))
    lines = [
        "# The start of the command line, measured",
        "",
        "Written by `./scripts/bench start`; do not edit.",
        report.machine_sentence(machine),
        f"Each command ran {rounds} times in a separate process; the fastest run counts.",
        f"The load of the machine was {machine['load']:.0f}: above the number of cores, all times are longer.",
        "The service ran on the same machine, with one worker.",
        "",
        "## Targets",
        *report.targets(targets),
        "## Commands",
        *report.table(_columns(fastest), rows),
        "Processor time is the user and system time of the process; elapsed time includes the wait for the service.",
    ]
    results = {version: {name: run._asdict() for name, run in runs.items()} for version, runs in fastest.items()}
    report.write("start", lines, {"machine": machine, "rounds": rounds, "runs": results, "ready": ready})


if __name__ == "__main__":
    main()
