"""hashdb match: hash pictures here and ask what they are close to."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import click

from hashdb.cli.output import as_json, console, print_json, tracked
from hashdb.cli.pictures import Outcome, expand, hash_all, in_batches, report_failures
from hashdb.cli.radii import Radius
from hashdb.client import Client
from hashdb.domain.matches import Match, Query, Result
from hashdb.domain.signals import Algorithm
from hashdb.hashing import Mode
from hashdb.settings import Settings
from hashdb.wire.matches import ResultOut


@click.command("match")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--radius", "radii", multiple=True, type=Radius(), help="Narrower than the default, like `pdq=20`.")
@click.option(
    "--transforms", is_flag=True, help="Also try each mirrored, turned, straightened, without borders or caption bands."
)
@as_json
def command(paths: tuple[Path, ...], radii: tuple[tuple[Algorithm, int], ...], transforms: bool, as_json: bool) -> int:
    """Ask whether pictures (files, or folders of them) are close to contributions. The pictures stay here."""
    settings = Settings.read()
    files = expand(paths)
    bar, advance = tracked("matching", len(files))
    results = []
    with Client.from_environment() as client, bar:
        algorithms = tuple(client.me().algorithms)
        outcomes = hash_all(files, algorithms, settings, Mode.TRANSFORMS if transforms else Mode.PLAIN)
        for outcome, result in in_batches(list(files), outcomes, partial(_ask, client, dict(radii))):
            advance()
            results.append((outcome, result))
            if not as_json and result is not None:
                _tell(outcome.path, result)
    if as_json:
        print_json([_object(*one) for one in results])
    return report_failures([outcome for outcome, _ in results])


def _ask(client: Client, radii: Mapping[Algorithm, int], batch: Sequence[Outcome]) -> list[Result | None]:
    hashed = [outcome.hashed for outcome in batch if outcome.hashed is not None]
    queries = [Query(one.signals, radius=radii, transforms=dict(one.transforms)) for one in hashed]
    answered = iter(client.match(queries).results if queries else ())
    return [None if outcome.hashed is None else next(answered) for outcome in batch]


def _tell(path: Path, result: Result) -> None:
    console().print(f"{path}  {advice(result)}", soft_wrap=True)
    for match in result.matches:
        console().print(f"  {_spelled(match)}", soft_wrap=True)


def advice(result: Result) -> str:
    """What a result says, in words."""
    if result.action == "none":
        return "no match"
    members = "1 member" if result.members == 1 else f"{result.members} members"
    told = [members] * bool(result.matches) + ["not all shown"] * result.truncated
    return f"review ({', '.join(told)})"


def _spelled(match: Match) -> str:
    distances = ", ".join(f"{algorithm} {bits}" for algorithm, bits in match.distance.items())
    severity = "" if match.severity is None else f", severity {match.severity}"
    through = "" if match.transform is None else f" ({match.transform})"
    labels = " ".join(match.labels)
    return f"contribution {match.contribution}{through}: {distances}; {labels}{severity}, {match.standing}"


def _object(outcome: Outcome, result: Result | None) -> dict[str, object]:
    if result is None:
        return {"path": str(outcome.path), "error": outcome.error}
    return {"path": str(outcome.path), **json.loads(ResultOut.of(result).json_text())}
