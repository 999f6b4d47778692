"""Validators of the signatures in requests and responses, and the model of the evidence of a match."""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import Field, ValidationError, ValidationInfo

from hashdb.domain.matching.matches import Evidence, Order
from hashdb.domain.signals import SIGNALS_AN_ITEM
from hashdb.domain.signatures import WHOLE, Kind
from hashdb.wire import ResponseModel
from hashdb.wire.conversions import Mirror
from hashdb.wire.faults import value_error

_Signatures = TypeVar("_Signatures")
_Scored = TypeVar("_Scored", float, Order, None)
_NO_VIEW = f"must be `{WHOLE}`, or the name of one of the transforms"
SIGNATURE_KINDS = frozenset(map(str, Kind))
"""The names of the kinds of signatures that this version knows."""


def check_picture_signatures(signatures: _Signatures, info: ValidationInfo) -> _Signatures:
    """The signatures, if the item is a picture. A validator."""
    if signatures and info.data.get("frames"):
        raise ValueError("belong to a picture: an item with frames has none")
    return signatures


def check_view_signatures(signatures: dict[str, list[Any]], info: ValidationInfo) -> dict[str, list[Any]]:
    """The signatures of a query by view: `whole`, or a transform; 64 at most together. A validator."""
    views = info.data.get("transforms")
    if views is not None and (unknown := signatures.keys() - {WHOLE, *views}):
        errors = [value_error((name,), _NO_VIEW) for name in sorted(unknown)]
        raise ValidationError.from_exception_data("signatures", errors)
    if sum(map(len, signatures.values())) > SIGNALS_AN_ITEM:
        raise ValueError(f"must be at most {SIGNALS_AN_ITEM} signatures in all")
    return check_picture_signatures(signatures, info)


def check_scored(value: _Scored, info: ValidationInfo) -> _Scored:
    """The least score or the order of a query, if its matches have scores: those of a video have none. A validator."""
    if value not in (None, Order.DISTANCE) and info.data.get("frames"):
        raise ValueError("is only for pictures: the match of a video has no score")
    return value


def known_signatures(signatures: object) -> object:
    """The signatures of kinds that this version knows: a later one may have more. A validator, before pydantic's."""
    if not isinstance(signatures, list):
        return signatures
    return [text for text in signatures if not isinstance(text, str) or text.partition(":")[0] in SIGNATURE_KINDS]


class EvidenceOut(ResponseModel, Mirror[Evidence]):
    """What speaks for a match beside its distances."""

    views: list[str] = Field(
        description="Which forms of the item are close: `whole`, the item itself, and names of transforms."
    )
    detail: float | None = Field(
        description="How much the details differ once one is laid over the other: 0 if they are equal, about 0.5 for "
        "different pictures. Null if one side has none, or one without information."
    )
    colour: float | None = Field(
        description="The difference of the colours, in grey levels of 255. Null if one side has none, or is grey."
    )
