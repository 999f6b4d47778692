"""HMA's REST API on the wire."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Annotated

from pydantic import BeforeValidator, RootModel, StringConstraints

from hashdb.domain.contributions import Contribution, Status
from hashdb.domain.sharing.feed import BankHit
from hashdb.domain.signals import MINIMUM_QUALITY, Algorithm, Signal
from hashdb.errors import InvalidInput, MalformedRequest
from hashdb.wire.sharing import Foreign, digits_of

_Names = Annotated[tuple[str, ...], BeforeValidator(lambda text: tuple(filter(None, str(text).split(","))))]
_Flag = Annotated[bool, BeforeValidator(lambda text: str(text).lower() in ("1", "true", "yes", "on"))]
_Reference = Annotated[str, StringConstraints(max_length=200)]


class HashQuery(Foreign):
    """What to hash, where it is not in the body, and by which algorithms."""

    url: str | None = None
    content_type: str = "photo"
    types: _Names = ()


class LookupQuery(HashQuery):
    """What to look for: a signal of a type, or a picture; and in which banks."""

    signal: str | None = None
    signal_type: str | None = None
    banks: _Names = ()
    include_distance: _Flag = False


class StatusQuery(Foreign):
    """Of which type to tell."""

    signal_type: str | None = None


class BankIn(Foreign):
    """The name of a bank."""

    name: str


class ContentQuery(Foreign):
    """What to show of a content."""

    include_signals: _Flag = False
    include_metadata: _Flag = True


class ContentChange(Foreign):
    """What is changed of a content: 1 is enabled, which all are."""

    disable_until_ts: int = 1


class MetadataIn(Foreign):
    """What is said of a content; of it the member's own id is kept."""

    content_id: _Reference | None = None


class SignalsIn(RootModel[dict[str, str]]):
    """The signals of one content, by type, and a note, which is not kept."""

    def signals(self, enabled: Collection[Algorithm]) -> tuple[Signal, ...]:
        """The signals. Raises MalformedRequest."""
        given = {name: text for name, text in self.root.items() if name != "note"}
        if not given:
            raise MalformedRequest("No signals given")
        return tuple(signal_of(name, text, enabled) for name, text in given.items())


class CompareIn(RootModel[dict[str, tuple[str, str]]]):
    """Two signals of a type to compare, of each type that is named."""

    def pairs(self, enabled: Collection[Algorithm]) -> dict[Algorithm, tuple[Signal, Signal]]:
        """The pairs. Raises MalformedRequest."""
        if not self.root:
            raise MalformedRequest("two signals of a type are needed to compare")
        return {
            algorithm_of(name, enabled): (signal_of(name, one, enabled), signal_of(name, other, enabled))
            for name, (one, other) in self.root.items()
        }


def algorithm_of(name: str, enabled: Collection[Algorithm]) -> Algorithm:
    """The algorithm that HMA's signal type is. Raises MalformedRequest."""
    found = next((algorithm for algorithm in enabled if algorithm == name), None)
    if found is None:
        raise MalformedRequest(f"No such SignalType: there are {', '.join(enabled)}")
    return found


def signal_of(name: str, text: str, enabled: Collection[Algorithm]) -> Signal:
    """The signal of a type. Raises MalformedRequest."""
    algorithm = algorithm_of(name, enabled)
    try:
        return Signal.parse(f"{algorithm}:{text.lower()}")
    except ValueError as error:
        raise MalformedRequest(f"invalid signal: {error}") from None


def hashes_out(signals: Iterable[Signal], quality: int | None, types: Collection[str]) -> dict[str, str]:
    """The signals of a picture by type; PDQ is empty where the picture is not fit for it, as HMA has it."""
    unfit = quality is not None and quality < MINIMUM_QUALITY
    return {
        str(one.algorithm): "" if unfit and one.algorithm is Algorithm.PDQ else digits_of(one)
        for one in signals
        if not types or one.algorithm in types
    }


def hits_out(
    hits: Iterable[BankHit], algorithm: Algorithm, banks: Collection[str]
) -> dict[str, list[dict[str, object]]]:
    """What matches by an algorithm, by bank, nearest first; the distance is a string, which HMA's clients read."""
    found: dict[str, list[dict[str, object]]] = {}
    near = [hit for hit in hits if algorithm in hit.match.distance]
    for bank, match in sorted(near, key=lambda hit: hit.match.distance[algorithm] or 0):
        if not banks or bank in banks:
            found.setdefault(bank, []).append(_hit(match.contribution, match.distance[algorithm]))
    return found


def raw_out(hits: Iterable[BankHit], algorithm: Algorithm, asked: LookupQuery) -> dict[str, object]:
    """What matches, in one list."""
    found = [match for bank, match in hits if not asked.banks or bank in asked.banks]
    if asked.include_distance:
        return {"matches": [_hit(match.contribution, match.distance[algorithm]) for match in found]}
    return {"matches": [match.contribution for match in found]}


def _hit(id: int, distance: int | None) -> dict[str, object]:
    # To a key that is told none, the field is not there: any number in its place would be believed.
    return {"bank_content_id": id} | ({} if distance is None else {"distance": str(distance)})


def compared_out(pairs: Mapping[Algorithm, tuple[Signal, Signal]]) -> dict[str, object]:
    """Whether the signals of each pair match, and how far they are from each other; here a number."""
    distances = {algorithm: one.distance(other) for algorithm, (one, other) in pairs.items()}
    return {str(one): [distance <= one.radius, {"distance": distance}] for one, distance in distances.items()}


def index_out(sizes: Mapping[Algorithm, int], built_to: int) -> dict[str, object]:
    """What the index of each type holds, and up to which time."""
    return {str(one): {"built_to": built_to, "present": True, "size": size} for one, size in sizes.items()}


def database_out(sizes: Mapping[Algorithm, int], built_to: int) -> dict[str, object]:
    """The same as HMA's curator tells it: the index is never behind."""
    return {
        str(one): {
            "db_size": size,
            "index_size": size,
            "index_out_of_date": False,
            "newest_db_item": built_to,
            "index_built_to": built_to,
        }
        for one, size in sizes.items()
    }


def bank_out(name: str) -> dict[str, object]:
    """A bank, all of which matches."""
    return {"name": name, "matching_enabled_ratio": 1.0}


def made_out(contribution: Contribution) -> dict[str, object]:
    """What was added to a bank."""
    return {"id": contribution.id, "signals": _signals(contribution)}


def content_out(contribution: Contribution, bank: str, asked: ContentQuery) -> dict[str, object]:
    """A contribution as a content of a bank."""
    matches = contribution.status is Status.ACTIVE and contribution.standing.matches
    told: dict[str, object] = {
        "id": contribution.id,
        "disable_until_ts": 1 if matches else 0,
        "original_media_uri": None,
        "bank": bank_out(bank),
        "note": None,
    }
    if asked.include_signals:
        told["signals"] = _signals(contribution)
    if asked.include_metadata:
        told["metadata"] = {
            "collab": None,
            "content_id": contribution.reference,
            "content_uri": None,
            "json": {
                "labels": list(contribution.labels),
                "severity": contribution.severity,
                "status": contribution.status,
                "standing": contribution.standing,
            },
        }
    return told


def _signals(contribution: Contribution) -> dict[str, str]:
    """One of each type: the first, which is of the item itself."""
    return {str(one.algorithm): digits_of(one) for one in reversed(contribution.signals)}


def faults_out(error: InvalidInput) -> list[dict[str, object]]:
    """What is wrong with a request, as HMA lists it."""
    return [{"type": "value_error", "loc": [fault.at], "msg": fault.reason} for fault in error.faults]
