"""Models of the sidecar: queries that are remembered as they are matched, and how current its copy is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from annotated_types import Len
from pydantic import AfterValidator, Field, ValidationError

from hashdb.domain.matching.lookback import Upload
from hashdb.domain.matching.matches import Query
from hashdb.domain.rules import QUERIES_A_REQUEST
from hashdb.errors import Fault, reject
from hashdb.wire import RequestModel, ResponseModel, ValidationContext, check_size, error_from_validation
from hashdb.wire.frames import further_faults
from hashdb.wire.lookback import UploadId
from hashdb.wire.matching import QueryIn, few_enough, read_queries


class RememberingQueryIn(QueryIn):
    """One item to match, which may be remembered before."""

    remember: UploadId | None = Field(
        None, description="Your own id of the upload: it is remembered durably before it is matched."
    )


class RememberingQueriesIn(RequestModel):
    """A request to match, with items to remember."""

    queries: Annotated[list[RememberingQueryIn], Len(1, QUERIES_A_REQUEST), AfterValidator(few_enough)]


class SidecarReadyOut(ResponseModel):
    """The sidecar is ready."""

    status: Literal["ready"] = Field(description="Always `ready`.")
    checkpoint: int = Field(description="The seq of the service's log up to which the copy has everything.")
    age: int = Field(description="How many seconds ago the copy was last up to date with the service.")
    contributions: int = Field(description="How many contributions the copy has.")


def read_remembering(text: bytes, context: ValidationContext) -> tuple[tuple[Query, ...], tuple[Upload, ...]]:
    """The queries of a request, in order, and the uploads to remember before. Raises MalformedRequest, InvalidInput."""
    if b'"remember"' not in text:
        return read_queries(text, context), ()
    check_size(text)
    try:
        request = RememberingQueriesIn.model_validate_json(text, context=context)
    except ValidationError as error:
        raise error_from_validation(error, text, more=further_faults(error, text, context)) from None
    queries = tuple(map(QueryIn.to_domain, request.queries))
    return queries, _uploads(request.queries, queries, context)


def _uploads(
    asked: Sequence[RememberingQueryIn], queries: Sequence[Query], context: ValidationContext
) -> tuple[Upload, ...]:
    uploads = {
        place: Upload(
            one.remember,
            context.now,
            Query(
                query.signals,
                transforms=query.transforms,
                frames=query.frames,
                duration=query.duration,
                signatures=query.signatures,
            ),
        )
        for place, (one, query) in enumerate(zip(asked, queries, strict=True))
        if one.remember is not None
    }
    reject(
        Fault(f"queries[{place}].{'remember' if fault.at == 'id' else fault.at}", fault.reason)
        for place, upload in uploads.items()
        for fault in upload.faults(context.now)
    )
    return tuple(uploads.values())
