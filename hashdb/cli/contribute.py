"""hashdb contribute: hash pictures here and send their hashes."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click

from hashdb.cli.hash import report_failures
from hashdb.cli.instants import Instant
from hashdb.cli.output import as_json, console, print_json, tracked
from hashdb.cli.pictures import Outcome, expand, fit_to_contribute, hash_all
from hashdb.client import Client
from hashdb.domain.contributions import Draft, Media, Recorded
from hashdb.errors import Fault, InvalidInput
from hashdb.settings import Settings
from hashdb.wire.contributions import ContributionOut

_BATCH = 100
_POSITION = re.compile(r"contributions\[(\d+)\]")


class Sent(NamedTuple):
    """What came of one path."""

    path: Path
    recorded: Recorded | None
    error: str | None


@click.command("contribute")
@click.argument("paths", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--label", "labels", multiple=True, required=True, help="What the content does; may be repeated.")
@click.option("--removed-at", type=Instant(), required=True, help="When it was removed: RFC 3339, or `now`.")
@click.option("--severity", type=click.IntRange(0, 4), help="0 to 4, 4 = crisis.")
@click.option("--basis", help="Why it was removed, like `terms` or `removal_order`.")
@click.option("--tco-ground", help="Ground of Regulation (EU) 2021/784, like `2.7.a`.")
@click.option("--entity", help="List and slug of the entity behind it, like `UN:example`.")
@click.option("--incident", help="Incident, like `CIP:example-2026`.")
@click.option("--context", "contexts", multiple=True, help="What a reviewer should know; may be repeated.")
@click.option("--notified-at", type=Instant(), help="When you were told of it.")
@click.option("--expires-at", type=Instant(), help="When it stops matching.")
@click.option("--reference", help="Your own id for it; shown to you and to auditors only.")
@click.option(
    "--media",
    type=click.Choice(list(map(str, Media))),
    default="image",
    show_default=True,
    help="What kind of thing was removed.",
)
@as_json
def command(paths: tuple[Path, ...], as_json: bool, media: str, **said: Any) -> int:
    """Contribute the hashes of pictures that you removed (files, or folders of them). The pictures stay here."""
    settings = Settings.read()
    files = expand(paths)
    template = Draft(
        signals=(),
        labels=said.pop("labels"),
        context=said.pop("contexts"),
        media=Media(media),
        **said,
    )
    bar, advance = tracked("contributing", len(files))
    results = []
    with Client.from_environment() as client, bar:
        algorithms = tuple(client.me().algorithms)
        outcomes = map(fit_to_contribute, hash_all(files, algorithms, settings))
        for result in _send_all(client, outcomes, template):
            advance()
            results.append(result)
            if not as_json:
                _tell(result)
    if as_json:
        print_json([_object(result) for result in results])
    return report_failures([(result.path, result.error) for result in results if result.error])


def _send_all(client: Client, outcomes: Iterator[Outcome], template: Draft) -> Iterator[Sent]:
    """Send in batches; what comes of each path, in order."""
    batch: list[Outcome] = []
    for outcome in outcomes:
        batch.append(outcome)
        if len(batch) == _BATCH:
            yield from _send(client, batch, template)
            batch = []
    if batch:
        yield from _send(client, batch, template)


def _send(client: Client, batch: Sequence[Outcome], template: Draft) -> Iterator[Sent]:
    drafts = {
        position: _draft(template, outcome) for position, outcome in enumerate(batch) if outcome.hashed is not None
    }
    errors = {position: outcome.error for position, outcome in enumerate(batch) if outcome.error is not None}
    recorded: dict[int, Recorded] = {}
    while drafts and not recorded:
        try:
            receipt = client.contribute(list(drafts.values()), idempotency_key=uuid.uuid4().hex)
            recorded = dict(zip(drafts, receipt.recorded, strict=True))
        except InvalidInput as refused:
            # The request is all or none: name the faulty ones, and send the others again.
            for position, fault in _faulty(refused, list(drafts)).items():
                errors[position] = fault
                del drafts[position]
    for position, outcome in enumerate(batch):
        yield Sent(outcome.path, recorded.get(position), errors.get(position))


def _faulty(refused: InvalidInput, positions: Sequence[int]) -> dict[int, str]:
    faulty: dict[int, str] = {}
    for fault in refused.faults:
        found = _POSITION.match(fault.at)
        if found is None:
            raise refused
        field = fault.at[found.end() :].lstrip(".")
        faulty.setdefault(positions[int(found[1])], str(Fault(field, fault.reason)))
    return faulty


def _draft(template: Draft, outcome: Outcome) -> Draft:
    assert outcome.hashed is not None
    return replace(template, signals=outcome.hashed.signals, quality=outcome.hashed.quality)


def _tell(result: Sent) -> None:
    if result.recorded is not None:
        known = " (known already)" if result.recorded.known else ""
        console().print(f"{result.path}  contribution {result.recorded.contribution.id}{known}", soft_wrap=True)


def _object(result: Sent) -> dict[str, object]:
    if result.recorded is None:
        return {"path": str(result.path), "error": result.error}
    spelled = ContributionOut.of(result.recorded.contribution, known=result.recorded.known)
    return {"path": str(result.path), **json.loads(spelled.json_text())}
