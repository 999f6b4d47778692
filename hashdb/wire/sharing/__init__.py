"""Other systems' protocols: what their clients send and take, spelled as they spell it."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from hashdb.domain.contributions import Contribution, Status
from hashdb.domain.signals import Algorithm, Signal
from hashdb.wire import refusal

_Model = TypeVar("_Model", bound=BaseModel)


class Foreign(BaseModel):
    """The base of what a client of another system sends: what is unknown in it is not for us, and left alone."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def parsed(model: type[_Model], given: object) -> _Model:
    """What a query string or a form says, as a model. Raises InvalidInput with every fault."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise refusal(error) from None


def is_gone(one: Contribution) -> bool:
    """Whether a contribution, whose signals are shown, matches nothing: for good, or until it is decided otherwise."""
    return one.status is not Status.ACTIVE or not one.standing.matches or not one.signals


def changed_at(one: Contribution) -> datetime:
    """When what is said of a contribution last changed: later with each change, and the same while there is none."""
    expired = one.expires_at if one.status is Status.EXPIRED else None
    return max(at for at in (one.received_at, one.withdrawn_at, expired, one.changed_at) if at is not None)


def pdq_of(digits: str) -> Signal:
    """The PDQ signal of these hex digits, in upper or lower case. Raises ValueError."""
    return Signal.parse(f"{Algorithm.PDQ}:{digits.lower()}")


def digits_of(signal: Signal) -> str:
    """The hex digits of a signal."""
    return str(signal).partition(":")[2]
