"""Models of HMA's REST API."""

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
    """The URL of the picture to hash, if it is not in the body, and the algorithms."""

    url: str | None = None
    content_type: str = "photo"
    types: _Names = ()


class LookupQuery(HashQuery):
    """The signal of a type, or the picture, to look up, and in which banks."""

    signal: str | None = None
    signal_type: str | None = None
    banks: _Names = ()
    include_distance: _Flag = False


class StatusQuery(Foreign):
    """The type whose status is asked for."""

    signal_type: str | None = None


class BankIn(Foreign):
    """The name of a bank."""

    name: str


class ContentQuery(Foreign):
    """Which parts of a content to return."""

    include_signals: _Flag = False
    include_metadata: _Flag = True


class ContentChange(Foreign):
    """A change of a content; the value 1 means enabled, and every content is."""

    disable_until_ts: int = 1


class MetadataIn(Foreign):
    """The metadata of a content; only the member's own id is stored."""

    content_id: _Reference | None = None


class SignalsIn(RootModel[dict[str, str]]):
    """The signals of one content, by type, and a note, which is not stored."""

    def signals(self, enabled: Collection[Algorithm]) -> tuple[Signal, ...]:
        """The signals. Raises MalformedRequest."""
        texts = {name: text for name, text in self.root.items() if name != "note"}
        if not texts:
            raise MalformedRequest("No signals given")
        return tuple(signal_of(name, text, enabled) for name, text in texts.items())


class CompareIn(RootModel[dict[str, tuple[str, str]]]):
    """Two signals to compare, by type."""

    def pairs(self, enabled: Collection[Algorithm]) -> dict[Algorithm, tuple[Signal, Signal]]:
        """The pairs. Raises MalformedRequest."""
        if not self.root:
            raise MalformedRequest("two signals of a type are needed to compare")
        return {
            algorithm_of(name, enabled): (signal_of(name, one, enabled), signal_of(name, other, enabled))
            for name, (one, other) in self.root.items()
        }


def algorithm_of(name: str, enabled: Collection[Algorithm]) -> Algorithm:
    """The algorithm of a signal type of HMA. Raises MalformedRequest."""
    algorithm = next((each for each in enabled if each == name), None)
    if algorithm is None:
        raise MalformedRequest(f"No such SignalType: there are {', '.join(enabled)}")
    return algorithm


def signal_of(name: str, text: str, enabled: Collection[Algorithm]) -> Signal:
    """The signal of a type. Raises MalformedRequest."""
    algorithm = algorithm_of(name, enabled)
    try:
        return Signal.parse(f"{algorithm}:{text.lower()}")
    except ValueError as error:
        raise MalformedRequest(f"invalid signal: {error}") from None


def hashes_out(signals: Iterable[Signal], quality: int | None, types: Collection[str]) -> dict[str, str]:
    """The signals of a picture by type; PDQ is empty if the quality is too low for it, as in HMA."""
    unfit = quality is not None and quality < MINIMUM_QUALITY
    return {
        str(signal.algorithm): "" if unfit and signal.algorithm is Algorithm.PDQ else digits_of(signal)
        for signal in signals
        if not types or signal.algorithm in types
    }


def hits_out(
    hits: Iterable[BankHit], algorithm: Algorithm, banks: Collection[str]
) -> dict[str, list[dict[str, object]]]:
    """The matches of an algorithm by bank, nearest first; the distance is a string, as HMA's clients expect."""
    by_bank: dict[str, list[dict[str, object]]] = {}
    near = [hit for hit in hits if algorithm in hit.match.distance]
    for bank, match in sorted(near, key=lambda hit: hit.match.distance[algorithm] or 0):
        if not banks or bank in banks:
            by_bank.setdefault(bank, []).append(_hit(match.contribution, match.distance[algorithm]))
    return by_bank


def raw_out(hits: Iterable[BankHit], algorithm: Algorithm, query: LookupQuery) -> dict[str, object]:
    """The matches in one list."""
    matches = [match for bank, match in hits if not query.banks or bank in query.banks]
    if query.include_distance:
        return {"matches": [_hit(match.contribution, match.distance[algorithm]) for match in matches]}
    return {"matches": [match.contribution for match in matches]}


def _hit(id: int, distance: int | None) -> dict[str, object]:
    # A key that hides distances gets no such field: a client would take any number for the distance.
    return {"bank_content_id": id} | ({} if distance is None else {"distance": str(distance)})


def compared_out(pairs: Mapping[Algorithm, tuple[Signal, Signal]]) -> dict[str, object]:
    """Whether the signals of each pair match, and their distance, here as a number."""
    distances = {algorithm: one.distance(other) for algorithm, (one, other) in pairs.items()}
    return {
        str(algorithm): [distance <= algorithm.radius, {"distance": distance}]
        for algorithm, distance in distances.items()
    }


def index_out(sizes: Mapping[Algorithm, int], built_to: int) -> dict[str, object]:
    """The size of the index of each type, and up to which time (Unix seconds) it is built."""
    return {str(name): {"built_to": built_to, "present": True, "size": size} for name, size in sizes.items()}


def database_out(sizes: Mapping[Algorithm, int], built_to: int) -> dict[str, object]:
    """The same in the form of HMA's curator; the index is never behind the database."""
    return {
        str(algorithm): {
            "db_size": size,
            "index_size": size,
            "index_out_of_date": False,
            "newest_db_item": built_to,
            "index_built_to": built_to,
        }
        for algorithm, size in sizes.items()
    }


def bank_out(name: str) -> dict[str, object]:
    """A bank; all of its contents match."""
    return {"name": name, "matching_enabled_ratio": 1.0}


def added_out(contribution: Contribution) -> dict[str, object]:
    """A content that was added to a bank."""
    return {"id": contribution.id, "signals": _signals(contribution)}


def content_out(contribution: Contribution, bank: str, query: ContentQuery) -> dict[str, object]:
    """A contribution as a content of a bank."""
    matches = contribution.status is Status.ACTIVE and contribution.standing.matches
    content: dict[str, object] = {
        "id": contribution.id,
        "disable_until_ts": 1 if matches else 0,
        "original_media_uri": None,
        "bank": bank_out(bank),
        "note": None,
    }
    if query.include_signals:
        content["signals"] = _signals(contribution)
    if query.include_metadata:
        content["metadata"] = {
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
    return content


def _signals(contribution: Contribution) -> dict[str, str]:
    """The first signal of each type, which is that of the item itself."""
    return {str(signal.algorithm): digits_of(signal) for signal in reversed(contribution.signals)}


def faults_out(error: InvalidInput) -> list[dict[str, object]]:
    """The faults of a request in the form of HMA."""
    return [{"type": "value_error", "loc": [fault.at], "msg": fault.reason} for fault in error.faults]
