"""Models of pictures and videos that are sent as files, and of their hashes."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Len
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from hashdb.wire import ResponseModel, SignalText, SignatureText
from hashdb.wire.conversions import SPARSE
from hashdb.wire.videos import FrameOut

FILES_A_REQUEST = 32

_File = Annotated[bytes, WithJsonSchema({"type": "string", "contentMediaType": "application/octet-stream"})]


class MediaIn(BaseModel):
    """A form with pictures and videos."""

    model_config = ConfigDict(extra="forbid")

    file: Annotated[list[_File], Len(1, FILES_A_REQUEST)] = Field(description="The pictures and videos, 1 to 32.")


class ContributedMediaIn(MediaIn):
    """A form with pictures and videos to contribute."""

    metadata: str = Field(
        description="JSON: what is known about the items, as in a draft without `signals` and `quality`. One object "
        "for all files, or a list with one object for each file."
    )


class PictureOut(ResponseModel):
    """The signals and the quality of a picture, or the digests and the frames of a video."""

    signals: list[SignalText] = Field(description="The hashes of the picture; of a video, the digests of its file.")
    quality: int | None = Field(description="The PDQ quality of the picture, 0 to 100; of a video, null.")
    duration: Annotated[float | None, SPARSE] = Field(None, description="The duration of the video, in seconds.")
    frames: Annotated[list[FrameOut], SPARSE] = Field([], description="The frames of the video, in ascending time.")
    incomplete: Annotated[str | None, SPARSE] = Field(None, description="How much of a damaged video could be read.")
    transforms: Annotated[dict[str, list[SignalText]], SPARSE] = Field(
        {}, description="With `transforms=1`: hashes of altered forms of the picture, by the name of the transform."
    )
    signatures: Annotated[dict[str, list[SignatureText]], SPARSE] = Field(
        {}, description="With `transforms=1`: signatures of the picture, by the name `whole`, and of its altered forms."
    )


class PicturesOut(ResponseModel):
    """The hashes of each picture and video, in order."""

    pictures: list[PictureOut] = Field(description="The pictures and videos, in the order of the files.")
