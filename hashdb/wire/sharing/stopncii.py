"""StopNCII's protocol on the wire."""

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
from hashdb.errors import Fault
from hashdb.wire import refused
from hashdb.wire.pages import Count
from hashdb.wire.sharing import Foreign, digits_of, pdq_of

_BLOCKED, _NOT_BLOCKED = "Blocked", "NotBlocked"
_HEARD = ("Unknown", "None", "QualityUnknown", "PendingReview", "Withdrawn", "Deleted")
_Digits = Annotated[Signal, BeforeValidator(lambda text: pdq_of(text) if isinstance(text, str) else _no_text())]
Seconds = Annotated[Count, Le(253_402_300_799)]
"""Since 1970, to the end of the year 9999."""


def _no_text() -> None:
    raise ValueError("takes a string")


class _Camel(Foreign):
    model_config = ConfigDict(alias_generator=to_camel)


class FetchQuery(_Camel):
    """Which hashes to fetch: those of after a time, and of these the next page."""

    start_timestamp: Seconds = 0
    page_size: Annotated[Count, Ge(1), AfterValidator(lambda size: min(size, 1000))] = 800
    next_page_token: Annotated[str, Field(pattern=r"^([0-9]{1,15}-[0-9]{1,11})?$")] = ""


def _known(value: str) -> str:
    if value not in (_BLOCKED, _NOT_BLOCKED, *_HEARD):
        raise ValueError(f"is one of {', '.join((_BLOCKED, _NOT_BLOCKED, *_HEARD))}")
    return value


class _Feedback(_Camel):
    feedback_value: Annotated[str, AfterValidator(_known)]
    tags: tuple[str, ...] = ()

    def opinion(self, reasons: Iterable[str]) -> OpinionDraft | None:
        """What it says of a hash; None where that is no opinion."""
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
        """Those of the hashes, in order. Raises InvalidInput: only PDQ of what was blocked is taken."""
        signals, faults = [], []
        for i, record in enumerate(self.hash_records):
            at = f"hashRecords[{i}]"
            if record.signal_type != "ImagePDQ":
                faults.append(Fault(f"{at}.signalType", "only ImagePDQ is taken here"))
                continue
            if any(feedback.feedback_value != _BLOCKED for feedback in record.csp_feedbacks):
                faults.append(Fault(f"{at}.CSPFeedbacks", "only what you have Blocked is taken: else send feedback"))
            try:
                signals.append(pdq_of(record.hash_value))
            except ValueError as error:
                faults.append(Fault(f"{at}.hashValue", str(error)))
        if faults:
            raise refused(faults)
        return signals


class FeedbacksIn(_Camel):
    """Feedback that a member submits on hashes of others."""

    hash_feedbacks: Annotated[list[_FeedbackIn], Len(1, DRAFTS_A_REQUEST)]

    def opinions(self, reasons: Iterable[str]) -> list[tuple[Signal, OpinionDraft]]:
        """What is said of each hash, without feedback that is no opinion."""
        said = [(one.hash_value, one.opinion(reasons)) for one in self.hash_feedbacks]
        return [(signal, draft) for signal, draft in said if draft is not None]


def page_out(records: Iterable[ExchangeRecord], token: str | None, level: int) -> dict[str, object]:
    """A page of hashes; `level` is the second that a reader has all of, once it has this page."""
    listed = [_record(one) for one in records]
    return {
        "count": len(listed),
        "nextPageToken": token,
        "nextSetTimestamp": level,
        "hasMoreRecords": token is not None,
        "hashRecords": listed,
    }


def _record(record: ExchangeRecord) -> dict[str, object]:
    return {
        "lastModtimestamp": int(record.at.timestamp()),
        "signalType": "ImagePDQ",
        "hashValue": digits_of(record.signal),
        "hashStatus": "Withdrawn" if record.gone else "Active",
        "caseNumbers": {str(one.id): "Active" for one in record.contributions},
        "CSPFeedbacks": [_withdrawn()] if record.gone else list(_feedbacks(record)),
    }


def _withdrawn() -> dict[str, object]:
    """What lets a reader that keeps withdrawn hashes see that this one is not to be trusted."""
    return {"source": "hashdb", "feedbackValue": _NOT_BLOCKED, "tags": ["withdrawn"]}


def _feedbacks(record: ExchangeRecord) -> Iterable[dict[str, object]]:
    for one in record.contributions:
        yield {"source": one.member_name, "feedbackValue": _BLOCKED, "tags": list(one.labels)}
    for said in record.opinions:
        confirms = said.stance is Stance.CONFIRMS
        value, tags = (_BLOCKED, []) if confirms else (_NOT_BLOCKED, [said.reason])
        yield {"source": said.member_name, "feedbackValue": value, "tags": tags}


class LoginIn(Foreign):
    """The form by which a reader asks for a token."""

    username: str
    password: str


def _number(checkpoint: object) -> object:
    return str(checkpoint).rpartition(",")[2] or "0"


class ListQuery(Foreign):
    """Where to read on: after a checkpoint (a time, which does not count, and a number), and of that a further page."""

    after: Annotated[Count, BeforeValidator(_number)] = 0
    page: Annotated[str, Field(pattern=r"^([0-9]{1,15}-[0-9]{1,15})?$")] = ""
    limit: Annotated[Count, Ge(1), AfterValidator(lambda size: min(size, 1000))] = 1000


def list_out(records: Iterable[ExchangeRecord], following: str | None, second: int, number: int) -> dict[str, object]:
    """A page of the list; the checkpoint is what has been told with it."""
    listed = [_entry(one) for one in records]
    return {
        "count": len(listed),
        "next": following,
        "previous": None,
        "checkpoint": f"{second},{number}",
        "results": listed,
    }


def _entry(record: ExchangeRecord) -> dict[str, object]:
    # Exactly these fields: the client fails at any other.
    created = min((one.received_at for one in record.contributions), default=record.at)
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
