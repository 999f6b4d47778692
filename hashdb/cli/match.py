"""hashdb match: hash pictures here and ask what they are close to."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click

from hashdb.cli.hash import report_failures
from hashdb.cli.output import as_json, console, print_json, tracked
from hashdb.cli.pictures import Outcome, expand, hash_all
from hashdb.client import Client
from hashdb.domain.matches import Match, Query, Result
from hashdb.domain.signals import Algorithm
from hashdb.settings import Settings
from hashdb.wire.matches import ResultOut

_BATCH = 100


class Radius(click.ParamType[tuple[Algorithm, int]]):
    """`algorithm=bits`."""

    name = "radius"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Algorithm, int]:
        """The algorithm and the bits; a usage error where there are none."""
        if isinstance(value, tuple):
            return value
        name, _, bits = value.partition("=")
        try:
            return Algorithm(name), int(bits)
        except ValueError:
            self.fail("write it as algorithm=bits, like pdq=20", param, ctx)


class Asked(NamedTuple):
    """What came of one path."""

    path: Path
    result: Result | None
    error: str | None


@click.command("match")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--radius", "radii", multiple=True, type=Radius(), help="Narrower than the default, like `pdq=20`.")
@as_json
def command(paths: tuple[Path, ...], radii: tuple[tuple[Algorithm, int], ...], as_json: bool) -> int:
    """Ask whether pictures (files, or folders of them) are close to contributions. The pictures stay here."""
    settings = Settings.read()
    files = expand(paths)
    bar, advance = tracked("matching", len(files))
    results = []
    with Client.from_environment() as client, bar:
        algorithms = tuple(client.me().algorithms)
        for asked in _ask_all(client, hash_all(files, algorithms, settings), dict(radii)):
            advance()
            results.append(asked)
            if not as_json:
                _tell(asked)
    if as_json:
        print_json([_object(asked) for asked in results])
    return report_failures([(asked.path, asked.error) for asked in results if asked.error])


def _ask_all(client: Client, outcomes: Iterator[Outcome], radii: Mapping[Algorithm, int]) -> Iterator[Asked]:
    batch: list[Outcome] = []
    for outcome in outcomes:
        batch.append(outcome)
        if len(batch) == _BATCH:
            yield from _ask(client, batch, radii)
            batch = []
    if batch:
        yield from _ask(client, batch, radii)


def _ask(client: Client, batch: Sequence[Outcome], radii: Mapping[Algorithm, int]) -> Iterator[Asked]:
    hashed = [outcome for outcome in batch if outcome.hashed is not None]
    queries = [Query(outcome.hashed.signals, radius=radii) for outcome in hashed if outcome.hashed]
    answered = iter(client.match(queries).results) if queries else iter(())
    for outcome in batch:
        yield Asked(outcome.path, next(answered) if outcome.hashed else None, outcome.error)


def _tell(asked: Asked) -> None:
    if asked.result is None:
        return
    if not asked.result.matches:
        console().print(f"{asked.path}  no match", soft_wrap=True)
        return
    members = asked.result.members
    corroborated = "1 member" if members == 1 else f"{members} members"
    console().print(f"{asked.path}  review ({corroborated})", soft_wrap=True)
    for match in asked.result.matches:
        console().print(f"  {_spelled(match)}", soft_wrap=True)


def _spelled(match: Match) -> str:
    distances = ", ".join(f"{algorithm} {bits}" for algorithm, bits in match.distance.items())
    severity = "" if match.severity is None else f", severity {match.severity}"
    return f"contribution {match.contribution}: {distances}; {' '.join(match.labels)}{severity}, {match.standing}"


def _object(asked: Asked) -> dict[str, object]:
    if asked.result is None:
        return {"path": str(asked.path), "error": asked.error}
    return {"path": str(asked.path), **json.loads(ResultOut.of(asked.result).json_text())}
