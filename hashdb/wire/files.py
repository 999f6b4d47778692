"""Models of a form with files (pictures, videos, documents, texts), and of the response with their hashes."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Len
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from hashdb.wire import ResponseModel, SignalText, SignatureText
from hashdb.wire.conversions import OMIT_DEFAULT
from hashdb.wire.frames import FrameOut

FILES_A_REQUEST = 32
"""The most files of one request."""

_File = Annotated[bytes, WithJsonSchema({"type": "string", "contentMediaType": "application/octet-stream"})]


class MediaIn(BaseModel):
    """A form with pictures, videos and documents."""

    model_config = ConfigDict(extra="forbid")

    file: Annotated[list[_File], Len(1, FILES_A_REQUEST)] = Field(
        description=f"The pictures, videos, documents and texts, 1 to {FILES_A_REQUEST}."
    )


class ContributedMediaIn(MediaIn):
    """A form with pictures, videos and documents to contribute."""

    metadata: str = Field(
        description="JSON: what is known about the items, as in a draft without `signals` and `quality`. One object "
        "for all files, or a list with one object for each file."
    )


class PictureOut(ResponseModel):
    """The signals and the quality of a picture, or the digests and the frames of a video, a document or a text."""

    signals: list[SignalText] = Field(description="The hashes of the picture; of others, the digests of the file.")
    quality: int | None = Field(description="The PDQ quality of the picture, 0 to 100; of others, null.")
    duration: Annotated[float | None, OMIT_DEFAULT] = Field(None, description="The duration of the video, in seconds.")
    pages: Annotated[int | None, OMIT_DEFAULT] = Field(None, description="How many pages the document has.")
    words: Annotated[int | None, OMIT_DEFAULT] = Field(None, description="How many words the document or the text has.")
    frames: Annotated[list[FrameOut], OMIT_DEFAULT] = Field(
        [],
        description="The frames of the video, in ascending time; of a document its pages, then windows of its words.",
    )
    incomplete: Annotated[str | None, OMIT_DEFAULT] = Field(
        None, description="How much of a damaged video, or of a document, could be read."
    )
    transforms: Annotated[dict[str, list[SignalText]], OMIT_DEFAULT] = Field(
        {}, description="With `transforms=1`: hashes of altered forms of the picture, by the name of the transform."
    )
    signatures: Annotated[dict[str, list[SignatureText]], OMIT_DEFAULT] = Field(
        {}, description="With `transforms=1`: signatures of the picture, by the name `whole`, and of its altered forms."
    )


class PicturesOut(ResponseModel):
    """The hashes of each file, in order."""

    pictures: list[PictureOut] = Field(description="The hashes, in the order of the files.")
