"""The benign list on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Le, Len
from pydantic import AfterValidator, Field, ValidationInfo

from hashdb.domain.benign import SIGNALS_AN_ENTRY, Benign, BenignDraft, BenignFilter
from hashdb.domain.signals import Algorithm
from hashdb.wire import Answered, Line, Moment, Sent, SignalText, ruled
from hashdb.wire.pages import PageQuery

_Asked = Annotated[SignalText, ruled(lambda terms, signal: terms.rules.algorithm_fault(signal.algorithm))]


def _of_signals(radii: dict[Algorithm, int], info: ValidationInfo) -> dict[Algorithm, int]:
    for algorithm, radius in radii.items():
        if not any(signal.algorithm is algorithm for signal in info.data.get("signals", ())):
            raise ValueError(f"there is no signal of {algorithm}")
        if radius > algorithm.radius:
            raise ValueError(f"a radius of {algorithm} is 0 to {algorithm.radius} bits here")
    return radii


class BenignIn(Sent):
    """Signals that are never to be accepted or matched."""

    signals: Annotated[list[_Asked], Len(1, SIGNALS_AN_ENTRY)] = Field(
        description="Hashes of what everybody may show, like a splash screen or a test card."
    )
    radius: Annotated[dict[Algorithm, Annotated[int, Ge(0), Le(256)]], AfterValidator(_of_signals)] = Field(
        {}, description="Bits within which a signal is close to one of these, by algorithm; half the usual radius."
    )
    note: Line = Field("", description="What it is, for whoever reads the list.")

    @classmethod
    def of(cls, draft: BenignDraft) -> BenignIn:
        """The wire form of an entry to add; `value` is the inverse."""
        return cls.model_construct(signals=list(draft.signals), radius=dict(draft.radius), note=draft.note)

    def value(self) -> BenignDraft:
        """The entry that this spells."""
        return BenignDraft(tuple(dict.fromkeys(self.signals)), self.radius, self.note)


class BenignPageQuery(PageQuery):
    """Which entries a page of the console lists."""

    text: Line | None = None
    algorithm: Algorithm | None = None
    whose: Literal["built-in", "own"] | None = None

    def value(self) -> BenignFilter:
        """The filter that this spells."""
        return BenignFilter(self.text, self.algorithm, None if self.whose is None else self.whose == "built-in")


class BenignOut(Answered):
    """An entry of the benign list."""

    id: int
    signals: list[SignalText]
    radius: dict[Algorithm, int]
    note: str
    built_in: str | None = Field(description="Its name in the list that comes with hashdb, if it is of that.")
    created_at: Moment
    masked: int = Field(description="Signals of contributions that it keeps from matching now.")

    @classmethod
    def of(cls, entry: Benign) -> BenignOut:
        """The wire form of an entry; `value` is the inverse."""
        return cls.model_construct(
            id=entry.id,
            signals=list(entry.signals),
            radius=dict(entry.radius),
            note=entry.note,
            built_in=entry.built_in,
            created_at=entry.created_at,
            masked=entry.masked,
        )

    def value(self) -> Benign:
        """The entry that this spells."""
        signals = tuple(self.signals)
        return Benign(self.id, signals, self.radius, self.note, self.built_in, self.created_at, self.masked)


class BenignsOut(Answered):
    """A page of the benign list."""

    benign: list[BenignOut]
    next: int | None
