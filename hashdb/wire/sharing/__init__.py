"""Models of the protocols of other systems; here is what several of them need."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, TypeVar

from annotated_types import Ge, Le
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, ValidationError

from hashdb.domain.contributions import Contribution, Status
from hashdb.domain.signals import Algorithm, Signal
from hashdb.wire import WholeNumber
from hashdb.wire.faults import error_from_validation

CommaSeparated = Annotated[tuple[str, ...], BeforeValidator(lambda text: tuple(filter(None, str(text).split(","))))]
"""Names that are separated by commas."""
PageSize = Annotated[WholeNumber, Ge(1), AfterValidator(lambda size: min(size, 1000))]
"""How many entries a client wants on a page; 1000 are the most that it gets."""
UnixSeconds = Annotated[WholeNumber, Le(253_402_300_799)]
"""Seconds since 1970, to the end of the year 9999."""
_Model = TypeVar("_Model", bound=BaseModel)


class ForeignRequest(BaseModel):
    """The base of requests of other systems' clients; unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)


def parse_fields(model: type[_Model], fields: object) -> _Model:
    """The model of a query string or a form. Raises InvalidInput with every fault."""
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise error_from_validation(error) from None


def is_gone(contribution: Contribution) -> bool:
    """Whether a contribution matches nothing now; the reader may see its signals."""
    return contribution.status is not Status.ACTIVE or not contribution.standing.matches or not contribution.signals


def changed_at(contribution: Contribution) -> datetime:
    """The time of the last change of a contribution."""
    expired = contribution.expires_at if contribution.status is Status.EXPIRED else None
    times = (contribution.received_at, contribution.withdrawn_at, expired, contribution.changed_at)
    return max(at for at in times if at is not None)


def signal_of(algorithm: Algorithm, digits: str) -> Signal:
    """The signal of these hex digits, in upper or lower case. Raises ValueError."""
    return Signal.parse(f"{algorithm}:{digits.lower()}")


def digits_of(signal: Signal) -> str:
    """The hex digits of a signal."""
    return str(signal).partition(":")[2]
