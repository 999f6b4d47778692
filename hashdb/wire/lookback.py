"""Models of look-back: uploads to remember, reports about them, and how far they are acknowledged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Self

from annotated_types import Ge, Le, Len
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from hashdb.domain.frames import FRAMES_A_REQUEST
from hashdb.domain.matching.lookback import (
    LONGEST_ID,
    LONGEST_WAIT,
    UPLOADS_A_REQUEST,
    LookBackReport,
    ReportKind,
    Upload,
)
from hashdb.domain.rules import past_fault
from hashdb.wire import (
    LARGEST_ID,
    Moment,
    RequestModel,
    ResponseModel,
    ValidationContext,
    WholeNumber,
    check_printable,
    check_whole,
    checked_by,
)
from hashdb.wire.conversions import OMIT_DEFAULT, Mirror
from hashdb.wire.frames import in_parts, limit_frames, read_with_frames
from hashdb.wire.matching import ItemIn, MatchOut, item_fields
from hashdb.wire.pages import Limit, QueryString

UploadId = Annotated[str, StringConstraints(min_length=1, max_length=LONGEST_ID), AfterValidator(check_printable)]


class UploadIn(ItemIn):
    """An upload to remember: its id, its time, and the fields of a query."""

    id: UploadId = Field(description="Your own id of the upload. The same id again replaces what is remembered.")
    at: Annotated[Moment, checked_by(lambda context, at: past_fault(at, context.now))] = Field(
        description="When it was uploaded."
    )

    @classmethod
    def from_domain(cls, upload: Upload) -> Self:
        """The model of an upload; `to_domain` is the inverse."""
        return cls.build(id=upload.id, at=upload.at, **item_fields(upload.query))

    def to_domain(self) -> Upload:
        """The upload."""
        return Upload(self.id, self.at, self.to_query())


class UploadsIn(RequestModel):
    """A request to remember uploads: all of them are remembered, or none."""

    uploads: Annotated[list[UploadIn], Len(1, UPLOADS_A_REQUEST), AfterValidator(limit_frames)] = Field(
        description="The uploads: 1 to 1,000, with at most 20,000 frames in all."
    )

    @classmethod
    def from_domain(cls, uploads: Sequence[Upload]) -> Self:
        """The request with these uploads; `read_uploads` is the inverse."""
        return cls.build(uploads=list(map(UploadIn.from_domain, uploads)))


def read_uploads(text: bytes, context: ValidationContext) -> tuple[Upload, ...]:
    """The uploads of a request. Raises MalformedRequest, TooLarge, or InvalidInput with every fault."""
    return tuple(map(UploadIn.to_domain, read_with_frames(UploadsIn, text, context).uploads))


def uploads_in_requests(uploads: Iterable[Upload]) -> Iterator[list[Upload]]:
    """The uploads in parts, each within the limits of one request; no part without uploads."""
    limits = (UPLOADS_A_REQUEST, FRAMES_A_REQUEST)
    # `in_parts` makes one empty part of no uploads.
    return filter(None, in_parts(uploads, lambda upload: (1, len(upload.query.frames)), limits))


class RememberedOut(ResponseModel):
    """The response to a request to remember: the uploads survive a crash."""

    remembered: int = Field(description="How many uploads of the request are remembered.")


class ReportsQuery(QueryString):
    """Which reports."""

    after: WholeNumber | None = Field(
        None, description="Only reports with higher numbers. The default is the number that is acknowledged."
    )
    limit: Limit = Field(1000, description="The most reports of the response.")
    wait: Annotated[int, Ge(0), Le(LONGEST_WAIT), BeforeValidator(check_whole)] = Field(
        0, description="How many seconds to wait for a report, if there is none yet."
    )


class ReportOut(ResponseModel, Mirror[LookBackReport]):
    """A report of look-back. It is advice to review, never a command."""

    number: int = Field(description="The number of the report; each report has a higher one than those before.")
    kind: ReportKind = Field(
        description="`matched`: a contribution matches a remembered upload. `taken-back`: it no longer does."
    )
    upload: str = Field(description="Your own id of the upload.")
    uploaded_at: Moment = Field(description="When it was uploaded.")
    found_at: Moment = Field(description="When look-back found this.")
    match: MatchOut = Field(description="The match; of a report that takes it back, the one that was reported before.")
    reason: Annotated[str | None, OMIT_DEFAULT] = Field(None, description="Why the match is taken back.")


class ReportsOut(ResponseModel):
    """Reports in the order of their numbers. Acknowledge the last number once all are handled."""

    reports: list[ReportOut] = Field(description="The reports; empty if there is none yet.")

    @classmethod
    def from_domain(cls, reports: Sequence[LookBackReport]) -> Self:
        """The response with these reports."""
        return cls.build(reports=list(map(ReportOut.from_domain, reports)))


class AcknowledgedIn(RequestModel):
    """A request not to return the reports up to a number again."""

    number: Annotated[int, Ge(0), Le(LARGEST_ID)] = Field(description="The number of the last report that is handled.")


class AcknowledgedOut(ResponseModel):
    """The response to an acknowledgement."""

    acknowledged: int = Field(description="The number up to which reports are acknowledged.")
