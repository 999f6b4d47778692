"""hashdb hash: the signals of pictures, computed here, without a service."""

from __future__ import annotations

from pathlib import Path

import click

from hashdb.cli.done import Done, state_option
from hashdb.cli.output import as_json, console, escaped, json_array, tracked
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
@state_option
@jobs_option
@as_json
def command(
    paths: tuple[Path, ...], names: tuple[str, ...], state: Path | None, jobs: int | None, as_json: bool
) -> int:
    """Print the hashes of pictures (files, or folders of them), a line each."""
    settings = Settings.read()
    algorithms = tuple(map(Algorithm, names)) or settings.algorithms
    done = Done(state, "hash")
    files, before = done.apart(expand(paths))
    bar, advance = tracked("hashing", len(files))
    failed = []
    with done, bar, json_array(as_json) as add:
        done.tell(before, add if as_json else None)
        for outcome in hash_all(files, algorithms, settings, jobs=jobs):
            advance()
            if as_json:
                add(_object(outcome))
            else:
                _tell(outcome)
            if outcome.hashed is None:
                failed.append(outcome)
            else:
                done.note(outcome.path)
    return report_failures(failed)


def _tell(outcome: Outcome) -> None:
    if outcome.hashed is not None:
        said = [escaped(outcome.path), *map(str, outcome.hashed.signals)]
        if outcome.hashed.quality is not None:
            said.append(f"quality {outcome.hashed.quality}")
        console().print("  ".join(said), soft_wrap=True)


def _object(outcome: Outcome) -> dict[str, object]:
    if outcome.hashed is None:
        return {"path": str(outcome.path), "error": outcome.error}
    signals = [str(signal) for signal in outcome.hashed.signals]
    return {"path": str(outcome.path), "signals": signals, "quality": outcome.hashed.quality}
