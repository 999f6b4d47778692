"""Models of how videos, documents and texts match: segments, and frames that are near listed pictures."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from hashdb.domain.frames import Unit
from hashdb.domain.matching.matches import FrameMatch
from hashdb.domain.matching.segments import Covered, Segment
from hashdb.domain.signals import Algorithm
from hashdb.wire import ResponseModel
from hashdb.wire.conversions import OMIT_DEFAULT, Mirror

# Seconds are written with a point; pages and words are whole numbers.
_Number = Annotated[int | float, WithJsonSchema({"type": "number"})]
_Stretch = tuple[_Number, _Number]


class SegmentOut(ResponseModel, Mirror[Segment]):
    """A stretch of the query that shows a stretch of a listed item."""

    unit: Annotated[Unit, OMIT_DEFAULT] = Field(
        Unit.SECONDS,
        description="What `query` and `listed` are in. `seconds`: from when to when of a video. `pages`: the first and "
        "the last page of a document. `words`: the first word of a text, from 0, and that after the last.",
    )
    query: _Stretch = Field(description="From where to where in the query.")
    listed: _Stretch = Field(description="From where to where in the listed item.")
    speed: float = Field(description="How many seconds, pages or words of the listed item one of the query shows.")
    frames: int = Field(description="How many frames of the stretch are near the listed ones.")
    possible: int = Field(description="How many frames the stretch has.")
    distance: int | None = Field(
        description="How many bits differ in the nearest frame; null if the key hides distances."
    )
    transform: Annotated[str | None, OMIT_DEFAULT] = Field(None, description="The transform that found most frames.")

    @classmethod
    def fields_from(cls, value: Segment) -> dict[str, Any]:
        """The fields of the model, by name."""
        fields = super().fields_from(value)
        if value.unit is not Unit.SECONDS:
            for name in ("query", "listed"):
                fields[name] = tuple(map(int, fields[name]))
        return fields


class CoveredOut(ResponseModel, Mirror[Covered]):
    """The shares of both items that the segments cover; of a document, of its words, or of its pages if none agree."""

    query: float = Field(description="The share of the query, 0 to 1.")
    listed: float = Field(description="The share of the listed item, 0 to 1.")


class FrameMatchOut(ResponseModel, Mirror[FrameMatch]):
    """A frame or a page of the query that is near a listed picture."""

    at: float = Field(0.0, description="The time of the frame of a video, in seconds.")
    page: int = Field(0, description="The number of the page of a document, from 1.")
    distance: dict[Algorithm, int | None] = Field(
        description="How many bits differ, by algorithm; null if the key hides distances."
    )

    @classmethod
    def fields_from(cls, value: FrameMatch) -> dict[str, Any]:
        """The fields of the model, by name."""
        place: dict[str, Any] = {"page": int(value.at)} if value.unit is Unit.PAGES else {"at": value.at}
        return {**place, "distance": dict(value.distance)}

    def arguments(self) -> dict[str, Any]:
        """The arguments of the domain class, by name."""
        is_page = "page" in self.model_fields_set
        at, unit = (self.page, Unit.PAGES) if is_page else (self.at, Unit.SECONDS)
        return {"at": at, "distance": self.distance, "unit": unit}
