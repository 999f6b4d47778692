"""Models of additions, which are further signals of contributions, and of the look-up of contributions by signals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Self

from annotated_types import Ge, Le, Len
from pydantic import Field

from hashdb.domain.contributions import Addition
from hashdb.domain.rules import DRAFTS_A_REQUEST, SIGNALS_A_LOOKUP
from hashdb.domain.signals import SIGNALS_AN_ITEM
from hashdb.domain.signatures import SIGNATURES_AN_ITEM
from hashdb.wire import LARGEST_ID, RequestModel, SignalText, SignatureText
from hashdb.wire.conversions import DISTINCT, OMIT_DEFAULT, Mirror
from hashdb.wire.drafts import SignalOfItem


class SignalsIn(RequestModel):
    """Further signals of a picture that was contributed."""

    signals: Annotated[list[SignalOfItem], Len(1, SIGNALS_AN_ITEM), DISTINCT] = Field(
        description="Hashes of the same picture, 1 to 64. One of 256 bits must be a hash that the contribution has."
    )
    signatures: Annotated[list[SignatureText], Len(0, SIGNATURES_AN_ITEM), DISTINCT, OMIT_DEFAULT] = Field(
        [], description="Signatures of the same picture, at most 8."
    )

    def to_addition(self, id: int) -> Addition:
        """The addition to the contribution with this id."""
        return Addition(id, tuple(dict.fromkeys(self.signals)), tuple(dict.fromkeys(self.signatures)))


class AdditionIn(SignalsIn, Mirror[Addition]):
    """The same, with the contribution."""

    id: Annotated[int, Ge(1), Le(LARGEST_ID)] = Field(description="The id of your contribution.")


class AdditionsIn(RequestModel):
    """A request to add signals to contributions."""

    contributions: Annotated[list[AdditionIn], Len(1, DRAFTS_A_REQUEST)] = Field(
        description="What to add: 1 to 1,000 contributions, each with its signals."
    )

    @classmethod
    def from_domain(cls, additions: Sequence[Addition]) -> Self:
        """The request for these additions."""
        return cls.build(contributions=list(map(AdditionIn.from_domain, additions)))

    def to_domain(self) -> tuple[Addition, ...]:
        """The additions."""
        return tuple(map(AdditionIn.to_domain, self.contributions))


class LookupIn(RequestModel):
    """The signals of pictures whose contributions are looked up."""

    signals: Annotated[list[SignalText], Len(1, SIGNALS_A_LOOKUP)] = Field(
        description="Hashes, 1 to 1,000: equal ones are looked up."
    )
