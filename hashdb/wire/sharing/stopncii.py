"""Models of StopNCII's protocol and of Tech Against Terrorism's list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated

from annotated_types import Len
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PlainValidator
from pydantic.alias_generators import to_camel

from hashdb.domain.contributions import Media
from hashdb.domain.review.cases import OpinionDraft, Stance
from hashdb.domain.rules import DRAFTS_A_REQUEST
from hashdb.domain.sharing.exchanges import ExchangeRecord
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.times import format_instant
from hashdb.errors import Fault, MalformedRequest, reject
from hashdb.wire import WholeNumber, one_of
from hashdb.wire.sharing import ForeignRequest, PageSize, UnixSeconds, digits_of, signal_of
from hashdb.wire.sharing.passages import PASSAGES, read_passages

_BLOCKED, _NOT_BLOCKED = "Blocked", "NotBlocked"
_IGNORED = ("Unknown", "None", "QualityUnknown", "PendingReview", "Withdrawn", "Deleted")
"""Values of a feedback that are no opinion."""
_ALGORITHM_BY_TYPE = {"ImagePDQ": Algorithm.PDQ, "VideoMD5": Algorithm.MD5}
"""The types of signal are StopNCII's."""
_PLAIN = {"URL": "url", "Text": "raw_text"}
"""The types of values that are not hashed, each with HMA's name of the type."""
HashPlain = Callable[[str, str], tuple[str, str]]
"""Hashes an address or a text. Takes HMA's name of its type and the value; returns those of the hash."""
_TYPE_BY_ALGORITHM = {algorithm: name for name, algorithm in _ALGORITHM_BY_TYPE.items()}
ALGORITHMS = tuple(_TYPE_BY_ALGORITHM)
"""The algorithms that StopNCII and Tech Against Terrorism know."""


class _Camel(ForeignRequest):
    model_config = ConfigDict(alias_generator=to_camel)


class FetchQuery(_Camel):
    """Which hashes to fetch: those changed after a time, page by page."""

    start_timestamp: UnixSeconds = 0
    page_size: PageSize = 800
    next_page_token: Annotated[str, Field(pattern=r"^([0-9]{1,15}-[0-9]{1,11})?$")] = ""


class _Feedback(_Camel):
    feedback_value: Annotated[str, one_of((_BLOCKED, _NOT_BLOCKED, *_IGNORED))]
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

    def item(self, hash_plain: HashPlain) -> dict[str, object]:
        """The fields of a draft. Raises ValueError, MalformedRequest, TextRefused."""
        algorithm = _ALGORITHM_BY_TYPE.get(self.signal_type)
        if algorithm is not None:
            media = Media.VIDEO if algorithm is Algorithm.MD5 else Media.IMAGE
            return {"signals": [str(signal_of(algorithm, self.hash_value))], "media": str(media)}
        name, value = hash_plain(_PLAIN[self.signal_type], self.hash_value)
        if name == PASSAGES:
            return {"signals": [], "media": str(Media.TEXT), "frames": read_passages(value)}
        return {"signals": [str(signal_of(Algorithm.URL, value))], "media": str(Media.DOCUMENT)}


def _parse(digits: object) -> Signal:
    if not isinstance(digits, str):
        raise ValueError("must be a string")
    # The client does not send the type.
    return signal_of(Algorithm.MD5 if len(digits) == Algorithm.MD5.bits // 4 else Algorithm.PDQ, digits)


class _FeedbackIn(_Feedback):
    hash_value: Annotated[Signal, PlainValidator(_parse)]


class HashesIn(_Camel):
    """Hashes that a member submits."""

    hash_records: Annotated[list[_HashIn], Len(1, DRAFTS_A_REQUEST)]

    def items(self, hash_plain: HashPlain) -> list[dict[str, object]]:
        """The fields of a draft for each hash, in order; `hash_plain` hashes the addresses and texts among them.

        Raises InvalidInput with every fault, for example content that is not blocked; TextRefused.
        """
        items: list[dict[str, object]] = []
        faults: list[Fault] = []
        for i, record in enumerate(self.hash_records):
            at = f"hashRecords[{i}]"
            if record.signal_type not in (*_ALGORITHM_BY_TYPE, *_PLAIN):
                faults.append(Fault(f"{at}.signalType", f"must be {' or '.join((*_ALGORITHM_BY_TYPE, *_PLAIN))}"))
                continue
            if any(feedback.feedback_value != _BLOCKED for feedback in record.csp_feedbacks):
                faults.append(Fault(f"{at}.CSPFeedbacks", "must be Blocked: send other opinions as feedback"))
            try:
                items.append(record.item(hash_plain))
            except (ValueError, MalformedRequest) as error:
                faults.append(Fault(f"{at}.hashValue", str(error)))
        reject(faults)
        return items


class FeedbacksIn(_Camel):
    """Feedback that a member submits on hashes of others."""

    hash_feedbacks: Annotated[list[_FeedbackIn], Len(1, DRAFTS_A_REQUEST)]

    def opinions(self, reasons: Iterable[str]) -> list[tuple[Signal, OpinionDraft]]:
        """The opinion on each hash, without feedback that is not an opinion."""
        opinions = [(feedback.hash_value, feedback.opinion(reasons)) for feedback in self.hash_feedbacks]
        return [(signal, draft) for signal, draft in opinions if draft is not None]


def page_out(records: Iterable[ExchangeRecord], token: str | None, second: int) -> dict[str, object]:
    """A page of hashes; `token` is that of the next page. With this page, a reader has all up to `second` (Unix time).

    The MD5 of pictures is left out: StopNCII has no type for it.
    """
    entries = [
        _record(record, record.value)
        for record in records
        if isinstance(record.value, Signal)
        and (record.value.algorithm is Algorithm.PDQ or record.of_video or record.gone)
    ]
    return {
        "count": len(entries),
        "nextPageToken": token,
        "nextSetTimestamp": second,
        "hasMoreRecords": token is not None,
        "hashRecords": entries,
    }


def _record(record: ExchangeRecord, signal: Signal) -> dict[str, object]:
    return {
        "lastModtimestamp": int(record.at.timestamp()),
        "signalType": _TYPE_BY_ALGORITHM[signal.algorithm],
        "hashValue": digits_of(signal),
        "hashStatus": "Withdrawn" if record.gone else "Active",
        "caseNumbers": {str(contribution.id): "Active" for contribution in record.contributions},
        "CSPFeedbacks": list(_feedbacks(record)),
    }


def _feedbacks(record: ExchangeRecord) -> Iterable[dict[str, object]]:
    if record.gone:
        # For readers that keep withdrawn hashes.
        yield {"source": "hashdb", "feedbackValue": _NOT_BLOCKED, "tags": ["withdrawn"]}
        return
    for contribution in record.contributions:
        yield {"source": contribution.member_name, "feedbackValue": _BLOCKED, "tags": list(contribution.labels)}
    for opinion in record.opinions:
        confirms = opinion.stance is Stance.CONFIRMS
        value, tags = (_BLOCKED, []) if confirms else (_NOT_BLOCKED, [opinion.reason])
        yield {"source": opinion.member_name, "feedbackValue": value, "tags": tags}


class LoginIn(ForeignRequest):
    """The form with which a reader requests a token."""

    username: str
    password: str


def _number_in(checkpoint: object) -> object:
    return str(checkpoint).rpartition(",")[2] or "0"


class ListQuery(ForeignRequest):
    """Where to continue: after the checkpoint `time,number`, of which only the number counts, and at which page."""

    after: Annotated[WholeNumber, BeforeValidator(_number_in)] = 0
    page: Annotated[str, Field(pattern=r"^([0-9]{1,15}-[0-9]{1,15})?$")] = ""
    limit: PageSize = 1000


def list_out(records: Iterable[ExchangeRecord], next_url: str | None, second: int, number: int) -> dict[str, object]:
    """A page of the list, with the address of the next page, and the checkpoint `second,number` after this one."""
    entries = [_entry(record, record.value) for record in records if isinstance(record.value, Signal)]
    return {
        "count": len(entries),
        "next": next_url,
        "previous": None,
        "checkpoint": f"{second},{number}",
        "results": entries,
    }


def _entry(record: ExchangeRecord, signal: Signal) -> dict[str, object]:
    # Exactly these fields: the client fails on any other.
    of_document = any(contribution.media is Media.DOCUMENT for contribution in record.contributions)
    of_video = signal.algorithm is Algorithm.MD5 and (record.of_video or record.gone)
    created = min((contribution.received_at for contribution in record.contributions), default=record.at)
    return {
        "id": record.number,
        "hash_digest": digits_of(signal),
        "algorithm": str(signal.algorithm).upper(),
        "ideology": "all",
        # The client reads MD5 of videos only, and deletes only what it reads.
        "file_type": "mp4" if of_video else "pdf" if of_document else "jpg",
        "deleted": record.gone,
        "updated_on": record.at.timestamp(),
        "created_on": format_instant(created),
    }
