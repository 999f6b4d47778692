"""Models of StopNCII's protocol and of Tech Against Terrorism's list."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from annotated_types import Ge, Le, Len
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from hashdb.domain.review.cases import OpinionDraft, Stance
from hashdb.domain.rules import DRAFTS_A_REQUEST
from hashdb.domain.sharing.feed import ExchangeRecord
from hashdb.domain.signals import Signal
from hashdb.domain.times import format_instant
from hashdb.errors import Fault, reject
from hashdb.wire.pages import Count
from hashdb.wire.sharing import Foreign, digits_of, pdq_of

_BLOCKED, _NOT_BLOCKED = "Blocked", "NotBlocked"
_IGNORED = ("Unknown", "None", "QualityUnknown", "PendingReview", "Withdrawn", "Deleted")
_Digits = Annotated[Signal, BeforeValidator(lambda text: pdq_of(text) if isinstance(text, str) else _require_text())]
Seconds = Annotated[Count, Le(253_402_300_799)]
"""Since 1970, to the end of the year 9999."""


def _require_text() -> None:
    raise ValueError("must be a string")


class _Camel(Foreign):
    model_config = ConfigDict(alias_generator=to_camel)


class FetchQuery(_Camel):
    """Which hashes to fetch: those changed after a time, page by page."""

    start_timestamp: Seconds = 0
    page_size: Annotated[Count, Ge(1), AfterValidator(lambda size: min(size, 1000))] = 800
    next_page_token: Annotated[str, Field(pattern=r"^([0-9]{1,15}-[0-9]{1,11})?$")] = ""


def _check_feedback(value: str) -> str:
    if value not in (_BLOCKED, _NOT_BLOCKED, *_IGNORED):
        raise ValueError(f"must be one of {', '.join((_BLOCKED, _NOT_BLOCKED, *_IGNORED))}")
    return value


class _Feedback(_Camel):
    feedback_value: Annotated[str, AfterValidator(_check_feedback)]
    tags: tuple[str, ...] = ()

    def opinion(self, reasons: Iterable[str]) -> OpinionDraft | None:
        """The opinion on a hash; None if the feedback is not an opinion."""
        if self.feedback_value == _BLOCKED:
            return OpinionDraft(Stance.CONFIRMS)
        if self.feedback_value == _NOT_BLOCKED:
            return OpinionDraft(Stance.DISPUTES, next((tag for tag in self.tags if tag in reasons), "other"))
        return None


class _HashIn(_Camel):
    # The client sends what Python prints of its enum.
    signal_type: Annotated[str, AfterValidator(lambda name: name.removeprefix("StopNCIISignalType."))]
    hash_value: str
    csp_feedbacks: tuple[_Feedback, ...] = Field((), alias="CSPFeedbacks")


class _FeedbackIn(_Feedback):
    hash_value: _Digits


class HashesIn(_Camel):
    """Hashes that a member submits."""

    hash_records: Annotated[list[_HashIn], Len(1, DRAFTS_A_REQUEST)]

    def signals(self) -> list[Signal]:
        """The signals of the hashes, in order. Raises InvalidInput: only PDQ of blocked content is accepted."""
        signals, faults = [], []
        for i, record in enumerate(self.hash_records):
            at = f"hashRecords[{i}]"
            if record.signal_type != "ImagePDQ":
                faults.append(Fault(f"{at}.signalType", "must be ImagePDQ"))
                continue
            if any(feedback.feedback_value != _BLOCKED for feedback in record.csp_feedbacks):
                faults.append(Fault(f"{at}.CSPFeedbacks", "must be Blocked: send other opinions as feedback"))
            try:
                signals.append(pdq_of(record.hash_value))
            except ValueError as error:
                faults.append(Fault(f"{at}.hashValue", str(error)))
        reject(faults)
        return signals


class FeedbacksIn(_Camel):
    """Feedback that a member submits on hashes of others."""

    hash_feedbacks: Annotated[list[_FeedbackIn], Len(1, DRAFTS_A_REQUEST)]

    def opinions(self, reasons: Iterable[str]) -> list[tuple[Signal, OpinionDraft]]:
        """The opinion on each hash, without feedback that is not an opinion."""
        opinions = [(feedback.hash_value, feedback.opinion(reasons)) for feedback in self.hash_feedbacks]
        return [(signal, draft) for signal, draft in opinions if draft is not None]


def page_out(records: Iterable[ExchangeRecord], token: str | None, second: int) -> dict[str, object]:
    """A page of hashes; with it, the reader has everything up to `second` (Unix seconds)."""
    listed = [_record(record) for record in records]
    return {
        "count": len(listed),
        "nextPageToken": token,
        "nextSetTimestamp": second,
        "hasMoreRecords": token is not None,
        "hashRecords": listed,
    }


def _record(record: ExchangeRecord) -> dict[str, object]:
    return {
        "lastModtimestamp": int(record.at.timestamp()),
        "signalType": "ImagePDQ",
        "hashValue": digits_of(record.signal),
        "hashStatus": "Withdrawn" if record.gone else "Active",
        "caseNumbers": {str(contribution.id): "Active" for contribution in record.contributions},
        "CSPFeedbacks": [_withdrawn()] if record.gone else list(_feedbacks(record)),
    }


def _withdrawn() -> dict[str, object]:
    """Feedback that tells a reader which keeps withdrawn hashes not to trust this one."""
    return {"source": "hashdb", "feedbackValue": _NOT_BLOCKED, "tags": ["withdrawn"]}


def _feedbacks(record: ExchangeRecord) -> Iterable[dict[str, object]]:
    for contribution in record.contributions:
        yield {"source": contribution.member_name, "feedbackValue": _BLOCKED, "tags": list(contribution.labels)}
    for opinion in record.opinions:
        confirms = opinion.stance is Stance.CONFIRMS
        value, tags = (_BLOCKED, []) if confirms else (_NOT_BLOCKED, [opinion.reason])
        yield {"source": opinion.member_name, "feedbackValue": value, "tags": tags}


class LoginIn(Foreign):
    """The form with which a reader requests a token."""

    username: str
    password: str


def _number(checkpoint: object) -> object:
    return str(checkpoint).rpartition(",")[2] or "0"


class ListQuery(Foreign):
    """Where to continue: after a checkpoint (a time, which is ignored, and a number), and at which page."""

    after: Annotated[Count, BeforeValidator(_number)] = 0
    page: Annotated[str, Field(pattern=r"^([0-9]{1,15}-[0-9]{1,15})?$")] = ""
    limit: Annotated[Count, Ge(1), AfterValidator(lambda size: min(size, 1000))] = 1000


def list_out(records: Iterable[ExchangeRecord], following: str | None, second: int, number: int) -> dict[str, object]:
    """A page of the list, with the checkpoint after it."""
    listed = [_entry(record) for record in records]
    return {
        "count": len(listed),
        "next": following,
        "previous": None,
        "checkpoint": f"{second},{number}",
        "results": listed,
    }


def _entry(record: ExchangeRecord) -> dict[str, object]:
    # Exactly these fields: the client fails on any other.
    created = min((contribution.received_at for contribution in record.contributions), default=record.at)
    return {
        "id": record.number,
        "hash_digest": digits_of(record.signal),
        "algorithm": "PDQ",
        "ideology": "all",
        "file_type": "jpg",
        "deleted": record.gone,
        "updated_on": record.at.timestamp(),
        "created_on": format_instant(created),
    }
