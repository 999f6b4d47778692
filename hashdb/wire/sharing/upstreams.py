"""Reads the feed of an upstream as the service that follows it, and the model of an upstream that a command prints."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pydantic import Field, ValidationError

from hashdb.domain.contributions import Draft, Standing
from hashdb.domain.sharing.upstreams import Upstream, UpstreamChange, UpstreamPage, UpstreamTrouble
from hashdb.domain.signals import Algorithm
from hashdb.domain.times import parse_instant
from hashdb.domain.vocabulary import Vocabulary
from hashdb.wire import LARGEST_ID, Moment, ResponseModel, ValidationContext
from hashdb.wire.conversions import FromDomain
from hashdb.wire.drafts import DraftIn
from hashdb.wire.frames import FrameIn
from hashdb.wire.origins import OriginOut
from hashdb.wire.signatures import SIGNATURE_KINDS

_FOLLOWED = tuple(name for name in DraftIn.model_fields if name != "reference")
"""The fields of a contribution that are followed: a reference is its member's own."""
_STANDINGS = frozenset(map(str, Standing))
_LONGEST_TEXT = 64  # characters


def read_page(text: bytes, context: ValidationContext) -> UpstreamPage:
    """A page of an upstream's feed, in which each contribution is checked by the rules of this service.

    Signals of algorithms that are not enabled here, and kinds of signatures that this version does not know, are left
    out. So are labels that this service does not have, if others remain. A contribution that may not be contributed
    here has the names of its fields in `faults`. Raises ValueError if this is no page of a feed.
    """
    try:
        page = json.loads(text)
        changes = tuple([_change(change, context) for change in page["changes"]])
        return UpstreamPage(changes, _check_int(page["checkpoint"]), page["more"] is True, _check_text(page["epoch"]))
    except (LookupError, TypeError, AttributeError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError("this is not a page of a feed") from error


def _change(change: Any, context: ValidationContext) -> UpstreamChange:
    seq = _check_int(change["seq"])
    fields = change.get("contribution")
    if fields is None:
        reason = change.get("withdrawal_reason")
        id, gone = _check_int(change["gone"]), _check_text(change["reason"])
        return UpstreamChange(seq, id, gone=gone, withdrawal_reason=reason and _check_text(reason))
    id, member = _check_int(fields["id"]), _check_int(fields["member"]["id"])
    expires = fields.get("expires_at")
    if expires is not None and parse_instant(expires) <= context.now:
        return UpstreamChange(seq, id, gone="expired")
    try:
        origin = fields.get("origin")
        origin = None if origin is None else OriginOut.model_validate(origin).to_domain()
        draft = _draft(fields, context)
    except ValidationError as error:
        return UpstreamChange(seq, id, member=member, faults=_fields_of(error))
    standing = Standing(fields["standing"]) if fields["standing"] in _STANDINGS else Standing.UNREVIEWED
    return UpstreamChange(seq, id, draft, origin, member, standing)


def _draft(fields: Mapping[str, Any], context: ValidationContext) -> Draft:
    """The draft of a contribution of the feed. Raises ValidationError if it may not be contributed here."""
    rules = context.rules
    enabled = {str(algorithm) for algorithm in Algorithm if rules.algorithm_fault(algorithm) is None}
    draft = {name: fields[name] for name in _FOLLOWED if fields.get(name) is not None}
    draft["signals"] = _with_names(enabled, fields.get("signals", ()))
    if "signatures" in draft:
        draft["signatures"] = _with_names(SIGNATURE_KINDS, draft["signatures"])
    if "labels" in draft:
        draft["labels"] = _known_labels(draft["labels"], rules.vocabulary)
    if frames := draft.pop("frames", ()):
        # Without what only a reader of the feed needs.
        frames = [{name: frame[name] for name in FrameIn.model_fields if name in frame} for frame in frames]
        frames = [{**frame, "signals": _with_names(enabled, frame["signals"])} for frame in frames]
        draft["frames"] = [frame for frame in frames if frame["signals"]]
    return DraftIn.model_validate_json(json.dumps(draft), context=context).to_domain()


def _with_names(names: Collection[str], texts: Sequence[str]) -> list[str]:
    """The signals or signatures whose algorithm or kind is one of these."""
    return [text for text in texts if text.partition(":")[0] in names]


def _known_labels(labels: list[str], vocabulary: Vocabulary) -> list[str]:
    """The labels that the vocabulary has; all of them if it has none of them, so that they are refused."""
    return [label for label in labels if vocabulary.label_fault(label) is None] or labels


def _fields_of(error: ValidationError) -> tuple[str, ...]:
    """The names of the fields that are refused; a field of the origin counts as `origin`."""
    names = {str(item["loc"][0]) if item["loc"] else "origin" for item in error.errors(include_url=False)}
    return tuple(sorted(name if name in _FOLLOWED else "origin" for name in names))


def _check_int(value: object) -> int:
    if type(value) is not int or not 0 <= value <= LARGEST_ID:
        raise ValueError("must be a number")
    return value


def _check_text(value: object) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST_TEXT or not value.isprintable():
        raise ValueError("must be a short text")
    return value


class UpstreamOut(ResponseModel, FromDomain[Upstream]):
    """Another service whose list this one follows, without the key."""

    id: int = Field(description="The id of the upstream.")
    member: int = Field(description="The id of the member that contributes its list here.")
    name: str = Field(description="The name of that member.")
    url: str = Field(description="The address of the other service.")
    log: str = Field(description="The name of its log and the hash of its first key.")
    state: str = Field(description="`following`, `reading`, `paused`, or the trouble.")
    trouble: UpstreamTrouble | None = Field(description="Why it cannot be followed now; null if it can.")
    paused: bool = Field(description="Whether the operator paused it.")
    judges: bool = Field(description="Whether the key may send opinions back.")
    seq: int = Field(description="The last event of its log that was read.")
    created_at: Moment = Field(description="Since when it is followed.")
    caught_up_at: Moment | None = Field(description="When nothing was left to read, last; null if never.")
    failing_since: Moment | None = Field(description="Since when it cannot be followed; null if it can.")
    refused: dict[str, int] = Field(description="How many changes were refused here, by field.")
