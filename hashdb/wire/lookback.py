"""Models of look-back: uploads to remember, reports about them, and how far they are acknowledged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Annotated, Any

from annotated_types import Ge, Le, Len
from pydantic import AfterValidator, BeforeValidator, FailFast, Field, StringConstraints, ValidationError

from hashdb.domain.frames import FRAMES_A_REQUEST
from hashdb.domain.matching.lookback import LONGEST_ID, LONGEST_WAIT, UPLOADS_A_REQUEST, Report, ReportKind, Upload
from hashdb.domain.matching.matches import Query
from hashdb.domain.rules import SIGNALS_AN_ITEM, SIGNALS_OF_TRANSFORMS, past_fault
from hashdb.domain.signatures import SIGNATURES_AN_ITEM
from hashdb.wire import (
    LARGEST_ID,
    Moment,
    RequestModel,
    ResponseModel,
    SignatureText,
    ValidationContext,
    check_printable,
    check_size,
    checked_by,
    error_from_validation,
    read,
)
from hashdb.wire.conversions import SPARSE, Mirror
from hashdb.wire.frames import (
    EMPTY,
    OF_DURATION,
    OF_FRAMES,
    EnabledSignal,
    QueryFrameIn,
    QueryFramesIn,
    Seconds,
    TransformName,
    few_frames,
    few_signals,
    further_faults,
)
from hashdb.wire.matching import MatchOut, need_something
from hashdb.wire.pages import Count, Limit, QueryString, whole
from hashdb.wire.signatures import of_views

UploadId = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_ID), AfterValidator(check_printable)]


class UploadIn(RequestModel):
    """An upload to remember: what a match would ask of it."""

    id: UploadId = Field(description="Your own id of the upload. The same id again replaces what is remembered.")
    at: Annotated[Moment, checked_by(lambda context, at: past_fault(at, context.now))] = Field(
        description="When it was uploaded."
    )
    duration: Seconds | None = Field(None, description=OF_DURATION)
    frames: QueryFramesIn = Field(
        default_factory=list,
        description=OF_FRAMES,
        json_schema_extra={"default": []},
    )
    signals: Annotated[list[EnabledSignal], Len(0, SIGNALS_AN_ITEM), AfterValidator(need_something)] = Field(
        description="The hashes of the upload, and digests of its file. May be empty with `frames`."
    )
    transforms: Annotated[
        dict[TransformName, Annotated[list[EnabledSignal], FailFast()]],
        AfterValidator(partial(few_signals, most=SIGNALS_OF_TRANSFORMS)),
    ] = Field(
        default_factory=dict,
        description="Hashes of altered forms of the upload, such as mirrored, by the name of the transform.",
        json_schema_extra=EMPTY,
    )
    signatures: Annotated[
        dict[TransformName, Annotated[list[SignatureText], Len(0, SIGNATURES_AN_ITEM)]], AfterValidator(of_views)
    ] = Field(
        default_factory=dict,
        description="Signatures of the upload, by the name `whole`, and of its altered forms, by their names.",
        json_schema_extra=EMPTY,
    )

    @classmethod
    def from_domain(cls, upload: Upload) -> UploadIn:
        """The model of an upload; `to_domain` is the inverse."""
        query = upload.query
        fields: dict[str, Any] = {"id": upload.id, "at": upload.at, "signals": list(query.signals)}
        if query.frames:
            fields["frames"] = list(map(QueryFrameIn.of, query.frames))
        if query.duration is not None:
            fields["duration"] = query.duration
        if query.transforms:
            fields["transforms"] = {name: list(signals) for name, signals in query.transforms.items()}
        if query.signatures:
            fields["signatures"] = {name: list(of_view) for name, of_view in query.signatures.items()}
        return cls.build(**fields)

    def to_domain(self) -> Upload:
        """The upload."""
        query = Query(
            tuple(dict.fromkeys(self.signals)),
            transforms={name: tuple(signals) for name, signals in self.transforms.items()},
            frames=tuple([frame.to_domain() for frame in self.frames]),
            duration=self.duration,
            signatures={name: tuple(dict.fromkeys(of_view)) for name, of_view in self.signatures.items()},
        )
        return Upload(self.id, self.at, query)


def read_upload(text: bytes, context: ValidationContext) -> Upload:
    """The upload of a JSON object. Raises MalformedRequest, TooLarge, or InvalidInput with every fault."""
    return read(UploadIn, text, context).to_domain()


class UploadsIn(RequestModel):
    """A request to remember uploads: all of them are remembered, or none."""

    uploads: Annotated[list[UploadIn], Len(1, UPLOADS_A_REQUEST), AfterValidator(few_frames)] = Field(
        description="The uploads: 1 to 1,000, with at most 20,000 frames in all."
    )

    @classmethod
    def from_domain(cls, uploads: Sequence[Upload]) -> UploadsIn:
        """The request with these uploads; `read_uploads` is the inverse."""
        return cls.build(uploads=list(map(UploadIn.from_domain, uploads)))


def read_uploads(text: bytes, context: ValidationContext) -> tuple[Upload, ...]:
    """The uploads of a request. Raises MalformedRequest, TooLarge, or InvalidInput with every fault."""
    check_size(text)
    try:
        request = UploadsIn.model_validate_json(text, context=context)
    except ValidationError as error:
        raise error_from_validation(error, text, more=further_faults(error, text, context)) from None
    return tuple(map(UploadIn.to_domain, request.uploads))


def uploads_in_requests(uploads: Sequence[Upload]) -> Iterator[Sequence[Upload]]:
    """The uploads in parts, each within the limits of one request."""
    start = frames = 0
    for position, upload in enumerate(uploads):
        more = len(upload.query.frames)
        if position > start and (position - start == UPLOADS_A_REQUEST or frames + more > FRAMES_A_REQUEST):
            yield uploads[start:position]
            start, frames = position, 0
        frames += more
    if start < len(uploads):
        yield uploads[start:]


class RememberedOut(ResponseModel):
    """The response to a request to remember: the uploads survive a crash."""

    remembered: int = Field(description="How many uploads of the request are remembered.")


class ReportsQuery(QueryString):
    """Which reports."""

    after: Count | None = Field(
        None, description="Only reports with higher numbers. The default is the number that is acknowledged."
    )
    limit: Limit = Field(1000, description="The most reports of the response.")
    wait: Annotated[int, Ge(0), Le(LONGEST_WAIT), BeforeValidator(whole)] = Field(
        0, description="How many seconds to wait for a report, if there is none yet."
    )


class ReportOut(ResponseModel, Mirror[Report]):
    """A report of look-back. It is advice to review, never a command."""

    number: int = Field(description="The number of the report; each report has a higher one than those before.")
    kind: ReportKind = Field(
        description="`matched`: a contribution matches a remembered upload. `taken-back`: it does so no more."
    )
    upload: str = Field(description="Your own id of the upload.")
    uploaded_at: Moment = Field(description="When it was uploaded.")
    found_at: Moment = Field(description="When look-back found this.")
    match: MatchOut = Field(description="The match; of a report that takes it back, the one that was reported before.")
    reason: Annotated[str | None, SPARSE] = Field(
        None,
        description="Why the match is taken back.",
    )


class ReportsOut(ResponseModel):
    """Reports in the order of their numbers. Acknowledge the last number once all are handled."""

    reports: list[ReportOut] = Field(description="The reports; empty if there is none yet.")

    @classmethod
    def of(cls, reports: Sequence[Report]) -> ReportsOut:
        """The response with these reports."""
        return cls.build(reports=list(map(ReportOut.from_domain, reports)))


class AcknowledgedIn(RequestModel):
    """A request to tell no report up to a number again."""

    number: Annotated[int, Ge(0), Le(LARGEST_ID)] = Field(description="The number of the last report that is handled.")


class AcknowledgedOut(ResponseModel):
    """The response to an acknowledgement."""

    acknowledged: int = Field(description="The number up to which reports are acknowledged.")
