"""MISP: one event with an object a contribution; what matches nothing is there as deleted, under the same uuid."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from hashdb.domain.contributions import Contribution
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.times import format_instant
from hashdb.wire.sharing import changed_at, digits_of, is_gone

TEMPLATE = {
    "name": "perceptual-hash",
    "meta-category": "file",
    "description": "Perceptual hashes of one item that was removed as terrorist content; near values match too.",
    "template_uuid": "6a5b7f0e-8f1c-5b0a-9a1e-3f4d1a7c2e90",
    "template_version": "1",
}
"""The object, of which MISP has no template of its own."""


def event(service: str, member: str, now: datetime, contributions: Iterable[Contribution]) -> Iterator[str]:
    """The text of an event, piece by piece: the same of the same service is always the same, by its uuid."""
    said: dict[str, object] = {
        "uuid": _uuid(service, "event", member),
        "info": f"hashdb: hashes of removed terrorist content, by {member}",
        "date": now.astimezone(UTC).date().isoformat(),
        "timestamp": str(int(now.timestamp())),
        "threat_level_id": "1",
        "analysis": "2",
        "distribution": "0",
        "published": False,
        "Tag": [{"name": "tlp:amber"}],
    }
    yield f'{{"Event": {json.dumps(said, ensure_ascii=False)[:-1]}, "Object": ['
    between = "\n"
    for one in contributions:
        yield between + json.dumps(_object(service, one), ensure_ascii=False)
        between = ",\n"
    yield "\n]}}\n"


def _object(service: str, one: Contribution) -> dict[str, object]:
    gone, at = is_gone(one), str(int(changed_at(one).timestamp()))
    pairs = [(str(signal.algorithm), digits_of(signal), True) for signal in one.signals]
    pairs += [("label", label, False) for label in one.labels]
    pairs += [("hashdb-id", str(one.id), False)]
    attributes = [
        {
            "uuid": _uuid(service, one.id, name, value),
            "object_relation": name,
            "type": "other" if to_ids else "text",
            "category": "Other",
            "value": value,
            "to_ids": to_ids and not gone,
            "timestamp": at,
            "deleted": gone,
        }
        for name, value, to_ids in pairs
    ]
    said: dict[str, object] = {"uuid": _uuid(service, one.id), "timestamp": at, "deleted": gone}
    if one.removed_at is not None:
        said["first_seen"] = one.removed_at.isoformat(timespec="microseconds")
    return {**TEMPLATE, **said, "Attribute": attributes}


def _uuid(service: str, *parts: object) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "#".join((service.rstrip("/"), *map(str, parts)))))


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
