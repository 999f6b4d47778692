"""Pictures on the wire: the form they come in, and what was computed of them."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Len
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from hashdb.wire import Answered, SignalText

FILES_A_REQUEST = 32

_File = Annotated[bytes, WithJsonSchema({"type": "string", "contentMediaType": "application/octet-stream"})]


class MediaIn(BaseModel):
    """A form of pictures."""

    model_config = ConfigDict(extra="forbid")

    file: Annotated[list[_File], Len(1, FILES_A_REQUEST)] = Field(description="One picture or more.")


class ContributedMediaIn(MediaIn):
    """A form of pictures that are contributed."""

    metadata: str = Field(
        description="JSON: what is said of the items (a draft without `signals` and `quality`), one object for all "
        "or a list with one for each file."
    )


class PictureOut(Answered):
    """What was computed of one picture."""

    signals: list[SignalText]
    quality: int | None


class PicturesOut(Answered):
    """What was computed of each picture, in order."""

    pictures: list[PictureOut]
