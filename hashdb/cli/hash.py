"""hashdb hash: the signals of pictures, computed here, without a service."""

from __future__ import annotations

from pathlib import Path

import click

from hashdb.cli.output import as_json, console, escaped, print_json, tracked
from hashdb.cli.pictures import Outcome, expand, hash_all, jobs_option, report_failures
from hashdb.domain.signals import Algorithm
from hashdb.settings import Settings


@click.command("hash")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--algorithm",
    "names",
    multiple=True,
    type=click.Choice(list(map(str, Algorithm))),
    help="Compute only this one; may be given several times.",
)
@jobs_option
@as_json
def command(paths: tuple[Path, ...], names: tuple[str, ...], jobs: int | None, as_json: bool) -> int:
    """Print the hashes of pictures (files, or folders of them)."""
    settings = Settings.read()
    algorithms = tuple(map(Algorithm, names)) or settings.algorithms
    files = expand(paths)
    bar, advance = tracked("hashing", len(files))
    outcomes = []
    with bar:
        for outcome in hash_all(files, algorithms, settings, jobs=jobs):
            advance()
            outcomes.append(outcome)
            if not as_json:
                _tell(outcome)
    if as_json:
        print_json([_object(outcome) for outcome in outcomes])
    return report_failures(outcomes)


def _tell(outcome: Outcome) -> None:
    if outcome.hashed is not None:
        quality = "" if outcome.hashed.quality is None else f"  quality {outcome.hashed.quality}"
        console().print(f"{escaped(outcome.path)}{quality}", soft_wrap=True)
        for signal in outcome.hashed.signals:
            console().print(f"  {signal}", soft_wrap=True)


def _object(outcome: Outcome) -> dict[str, object]:
    if outcome.hashed is None:
        return {"path": str(outcome.path), "error": outcome.error}
    signals = [str(signal) for signal in outcome.hashed.signals]
    return {"path": str(outcome.path), "signals": signals, "quality": outcome.hashed.quality}
