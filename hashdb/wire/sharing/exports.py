"""Exports of contributions as a MISP event and as a STIX bundle.

A contribution has the same id in each export of a service: ids are made of `service`, its address. A contribution that
matches nothing is `deleted` in MISP, and `revoked` in STIX. The hashes of frames of videos, documents and texts are not
exported: only the item's own signals are.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from hashdb.domain.contributions import Contribution
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.tiers import Tier, tier_of
from hashdb.domain.times import format_instant
from hashdb.wire.sharing import changed_at, digits_of, is_gone

TEMPLATE = {
    "name": "perceptual-hash",
    "meta-category": "file",
    "description": "Perceptual hashes of one item that was removed as terrorist content; near values match too.",
    "template_uuid": "6a5b7f0e-8f1c-5b0a-9a1e-3f4d1a7c2e90",
    "template_version": "1",
}
"""The template of the object; MISP has none for it."""


def misp_event(service: str, member: str, now: datetime, contributions: Iterable[Contribution]) -> Iterator[str]:
    """The text of a MISP event with an object for each contribution of the member with this name, piece by piece."""
    header: dict[str, object] = {
        "uuid": _uuid(service, "event", member),
        "info": f"hashdb: hashes of removed terrorist content, by {member}",
        "date": now.astimezone(UTC).date().isoformat(),
        "timestamp": str(int(now.timestamp())),
        "threat_level_id": "1",  # high
        "analysis": "2",  # complete
        "distribution": "0",  # your organisation only
        "published": False,
        "Tag": [{"name": "tlp:amber"}],
    }
    yield f'{{"Event": {json.dumps(header, ensure_ascii=False)[:-1]}, "Object": ['
    between = "\n"
    for contribution in contributions:
        yield between + json.dumps(_object(service, contribution), ensure_ascii=False)
        between = ",\n"
    yield "\n]}}\n"


def _object(service: str, contribution: Contribution) -> dict[str, object]:
    # In `values`: the name of each attribute, its value, and its type and category.
    gone, at = is_gone(contribution), str(int(changed_at(contribution).timestamp()))
    values = [(str(signal.algorithm), digits_of(signal), _kind(signal)) for signal in contribution.signals]
    values += [("label", label, _TEXT) for label in contribution.labels]
    values += [("tier", tier, _TEXT) for tier in _tiers(contribution)]
    values += [("hashdb-id", str(contribution.id), _TEXT)]
    attributes = [
        {
            "uuid": _uuid(service, contribution.id, name, value),
            "object_relation": name,
            "type": kind,
            "category": category,
            "value": value,
            "to_ids": kind != "text" and not gone,  # whether to use the value for detection
            "timestamp": at,
            "deleted": gone,
        }
        for name, value, (kind, category) in values
    ]
    fields: dict[str, object] = {"uuid": _uuid(service, contribution.id), "timestamp": at, "deleted": gone}
    if contribution.removed_at is not None:
        fields["first_seen"] = contribution.removed_at.isoformat(timespec="microseconds")
    return {**TEMPLATE, **fields, "Attribute": attributes}


def _tiers(contribution: Contribution) -> tuple[Tier, ...]:
    """The tier that the codes imply, if any."""
    tier = tier_of(contribution.labels, contribution.severity, contribution.entity, contribution.incident)
    return () if tier is None else (tier,)


_TEXT = ("text", "Other")


def _kind(signal: Signal) -> tuple[str, str]:
    """The type and the category of an attribute: MISP has types for digests of files, and none for other hashes."""
    if signal.algorithm in (Algorithm.MD5, Algorithm.SHA256):
        return str(signal.algorithm), "Payload delivery"
    # The type `url` of MISP has the address itself, which no service knows.
    return "other", "Other"


def _uuid(service: str, *parts: object) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, "#".join((service.rstrip("/"), *map(str, parts)))))


_NAMES = {Algorithm.PDQ: "PDQ", Algorithm.SHA256: "SHA-256", Algorithm.MD5: "MD5"}
"""The names of hashes in STIX; other algorithms keep their own names."""
_NOTHING = "[x-hashdb:signals = 0]"
"""The pattern of a contribution without signals: an indicator must have a pattern, and this one matches nothing."""


def stix_bundle(service: str, contributions: Iterable[Contribution]) -> Iterator[str]:
    """The text of a STIX bundle, piece by piece: an indicator for each contribution, an identity for each member."""
    yield f'{{"type": "bundle", "id": "bundle--{uuid.uuid4()}"'
    members: set[int] = set()
    # STIX does not allow an empty list.
    between = ', "objects": [\n'
    for contribution in contributions:
        if contribution.member not in members:
            members.add(contribution.member)
            yield between + json.dumps(_identity(service, contribution), ensure_ascii=False)
            between = ",\n"
        yield between + json.dumps(_indicator(service, contribution), ensure_ascii=False)
    yield "\n]}\n" if members else "}\n"


def _identity(service: str, contribution: Contribution) -> dict[str, object]:
    # An identity must have times. Since when the member exists is not known here; these are the same in each export.
    at = format_instant(datetime.fromtimestamp(0, UTC))
    return {
        "type": "identity",
        "spec_version": "2.1",
        "id": _id("identity", service, contribution.member),
        "created": at,
        "modified": at,
        "name": contribution.member_name,
        "identity_class": "organization",
    }


def _indicator(service: str, contribution: Contribution) -> dict[str, object]:
    valid_from = contribution.removed_at or contribution.received_at
    fields: dict[str, object] = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": _id("indicator", service, contribution.id),
        "created_by_ref": _id("identity", service, contribution.member),
        "created": format_instant(contribution.received_at),
        "modified": format_instant(changed_at(contribution)),
        "revoked": is_gone(contribution),
        "name": f"hashdb contribution {contribution.id}",
        "description": "Perceptual hashes of content removed as terrorist content: near values match too.",
        "indicator_types": ["malicious-activity"],
        "labels": [*contribution.labels, *(f"tcap:{tier}" for tier in _tiers(contribution))],
        "pattern": " OR ".join(map(_comparison, contribution.signals)) or _NOTHING,
        "pattern_type": "stix",
        "valid_from": format_instant(valid_from),
        "external_references": [{"source_name": "hashdb", "external_id": str(contribution.id)}],
    }
    if contribution.expires_at is not None and contribution.expires_at > valid_from:
        fields["valid_until"] = format_instant(contribution.expires_at)
    return fields


def _comparison(signal: Signal) -> str:
    """The pattern of one hash. STIX compares `url:value` with addresses: the hash of an address is another property."""
    if signal.algorithm is Algorithm.URL:
        return f"[x-hashdb-url:hashes.'SHA-256' = '{digits_of(signal)}']"
    return f"[file:hashes.'{_NAMES.get(signal.algorithm, signal.algorithm)}' = '{digits_of(signal)}']"


def _id(kind: str, service: str, number: int) -> str:
    return f"{kind}--{_uuid(service, f'{kind}-{number}')}"
