"""Models of the sidecar: queries that are remembered as they are matched, and how current its copy is."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Len
from pydantic import AfterValidator, Field

from hashdb.domain.matching.lookback import Upload
from hashdb.domain.matching.matches import Query
from hashdb.domain.rules import QUERIES_A_REQUEST
from hashdb.errors import Fault, reject
from hashdb.wire import RequestModel, ResponseModel, ValidationContext
from hashdb.wire.frames import read_with_frames
from hashdb.wire.lookback import UploadId
from hashdb.wire.matching import QueryIn, limit_queries, read_queries


class RememberingQueryIn(QueryIn):
    """One item to match, which may be remembered before."""

    remember: UploadId | None = Field(
        None, description="Your own id of the upload: it is remembered durably before it is matched."
    )


class RememberingQueriesIn(RequestModel):
    """A request to match, with items to remember."""

    queries: Annotated[list[RememberingQueryIn], Len(1, QUERIES_A_REQUEST), AfterValidator(limit_queries)]


class SidecarReadyOut(ResponseModel):
    """The sidecar is ready."""

    status: Literal["ready"] = Field(description="Always `ready`.")
    checkpoint: int = Field(description="The seq of the service's log up to which the copy has everything.")
    age: int = Field(description="How many seconds ago the copy was last up to date with the service.")
    contributions: int = Field(description="How many contributions the copy has.")


def read_remembering(text: bytes, context: ValidationContext) -> tuple[tuple[Query, ...], tuple[Upload, ...]]:
    """The queries of a request, and the uploads to remember before. Raises MalformedRequest, TooLarge, InvalidInput."""
    if b'"remember"' not in text:
        return read_queries(text, context), ()
    queries = read_with_frames(RememberingQueriesIn, text, context).queries
    uploads = {
        place: Upload(query.remember, context.now, query.to_query())
        for place, query in enumerate(queries)
        if query.remember is not None
    }
    reject(
        Fault(f"queries[{place}].{'remember' if fault.at == 'id' else fault.at}", fault.reason)
        for place, upload in uploads.items()
        for fault in upload.faults(context.now)
    )
    return tuple(map(QueryIn.to_domain, queries)), tuple(uploads.values())
