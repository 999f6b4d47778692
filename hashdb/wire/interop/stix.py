"""STIX 2.1: contributions as indicators, those that match nothing as revoked ones (OASIS STIX 2.1, 4.7)."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from datetime import datetime

from hashdb.domain.contributions import Contribution
from hashdb.domain.instants import format_instant
from hashdb.domain.signals import Algorithm, Signal
from hashdb.wire.interop import changed_at, digits_of, is_gone

_NAMES = {Algorithm.PDQ: "PDQ"}
_NOTHING = "[x-hashdb:signals = 0]"
"""The pattern of what has no signals left that match: an indicator has one, and this is true of nothing."""


def bundle(service: str, contributions: Iterable[Contribution]) -> Iterator[str]:
    """The text of a bundle, piece by piece: the same contribution of the same service is always the same object."""
    yield f'{{"type": "bundle", "id": "bundle--{uuid.uuid4()}"'
    known: set[int] = set()
    # A list in STIX is never empty.
    between = ', "objects": [\n'
    for one in contributions:
        for said in _objects(service, one, known):
            yield between + json.dumps(said, ensure_ascii=False)
            between = ",\n"
    yield "\n]}\n" if known else "}\n"


def _objects(service: str, one: Contribution, known: set[int]) -> Iterator[dict[str, object]]:
    if one.member not in known:
        known.add(one.member)
        yield _identity(service, one)
    yield _indicator(service, one)


def _identity(service: str, one: Contribution) -> dict[str, object]:
    at = _moment(datetime.fromtimestamp(0, one.received_at.tzinfo))
    return {
        "type": "identity",
        "spec_version": "2.1",
        "id": _id("identity", service, one.member),
        "created": at,
        "modified": at,
        "name": one.member_name,
        "identity_class": "organization",
    }


def _indicator(service: str, one: Contribution) -> dict[str, object]:
    said: dict[str, object] = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": _id("indicator", service, one.id),
        "created_by_ref": _id("identity", service, one.member),
        "created": _moment(one.received_at),
        "modified": _moment(changed_at(one)),
        "revoked": is_gone(one),
        "name": f"hashdb contribution {one.id}",
        "description": "Perceptual hashes of content removed as terrorist content: near values match too.",
        "indicator_types": ["malicious-activity"],
        "labels": list(one.labels),
        "pattern": " OR ".join(map(_comparison, one.signals)) or _NOTHING,
        "pattern_type": "stix",
        "valid_from": _moment(one.removed_at or one.received_at),
        "external_references": [{"source_name": "hashdb", "external_id": str(one.id)}],
    }
    if one.expires_at is not None and one.expires_at > (one.removed_at or one.received_at):
        said["valid_until"] = _moment(one.expires_at)
    return said


def _comparison(signal: Signal) -> str:
    return f"[file:hashes.'{_NAMES.get(signal.algorithm, signal.algorithm)}' = '{digits_of(signal)}']"


def _id(kind: str, service: str, number: int) -> str:
    named = f"{service.rstrip('/')}#{kind}-{number}"
    return f"{kind}--{uuid.uuid5(uuid.NAMESPACE_URL, named)}"


def _moment(at: datetime) -> str:
    return format_instant(at)
