"""Models of queries, matches and the benign list."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import lru_cache, partial
from itertools import repeat
from json import JSONEncoder
from typing import Annotated, Any, Literal, Self

from annotated_types import Ge, Le, Len
from pydantic import AfterValidator, FailFast, Field, ValidationError, ValidationInfo

from hashdb.domain.contributions import Standing
from hashdb.domain.frames import FRAMES_A_REQUEST
from hashdb.domain.matching.benign import SIGNALS_AN_ENTRY, BenignDraft, BenignEntry
from hashdb.domain.matching.matches import MAX_SCORE, Answer, Match, Order, Query, Result
from hashdb.domain.rules import QUERIES_A_REQUEST, SIGNALS_A_REQUEST
from hashdb.domain.signals import SIGNALS_AN_ITEM, SIGNALS_OF_TRANSFORMS, Algorithm, Signal
from hashdb.domain.signatures import SIGNATURES_AN_ITEM
from hashdb.domain.times import format_instant
from hashdb.wire import (
    Line,
    Moment,
    Next,
    Opaque,
    PageModel,
    RequestModel,
    ResponseModel,
    SignalText,
    SignatureText,
    ValidationContext,
)
from hashdb.wire.conversions import DISTINCT, OMIT_DEFAULT, Mirror
from hashdb.wire.faults import value_error
from hashdb.wire.frames import (
    DURATION_DESCRIPTION,
    EMPTY_DEFAULT,
    FRAMES_DESCRIPTION,
    EnabledSignal,
    QueryFrameIn,
    QueryFramesIn,
    Seconds,
    TransformName,
    WordCount,
    in_parts,
    limit_frames,
    limit_signals,
    read_with_frames,
)
from hashdb.wire.origins import OriginOut
from hashdb.wire.plain_queries import parse_plain_queries
from hashdb.wire.segments import CoveredOut, FrameMatchOut, SegmentOut
from hashdb.wire.signatures import EvidenceOut, check_scored, check_view_signatures


def _check_query_radii(radii: dict[Algorithm, int], info: ValidationInfo) -> dict[Algorithm, int]:
    """The radii, if the rules of the service allow each. A validator."""
    if not isinstance(info.context, ValidationContext):
        return radii
    rules = info.context.rules
    faults = {algorithm: rules.radius_fault(algorithm, radius) for algorithm, radius in radii.items()}
    if errors := [value_error((str(algorithm),), fault) for algorithm, fault in faults.items() if fault]:
        raise ValidationError.from_exception_data("radius", errors)
    return radii


def _require_signals(signals: list[Signal], info: ValidationInfo) -> list[Signal]:
    """The signals of an item beside its frames. A validator."""
    if not signals and info.data.get("frames", True) == []:
        raise ValueError("must have at least 1 entry, unless there are frames")
    return signals


class ItemIn(RequestModel):
    """The hashes of an item to match, or to remember and match later."""

    # The order of the fields: `plain_queries` recognises requests that have `id`, `signals` and `radius` in it.
    id: Opaque | None = Field(None, description="Your own id of the query; the result has it too.")
    duration: Seconds | None = Field(None, description=DURATION_DESCRIPTION)
    frames: QueryFramesIn = Field(
        default_factory=list, description=FRAMES_DESCRIPTION, json_schema_extra={"default": []}
    )
    signals: Annotated[list[EnabledSignal], Len(0, SIGNALS_AN_ITEM), AfterValidator(_require_signals)] = Field(
        description="The hashes of the item, and digests of its file. May be empty with `frames`."
    )
    transforms: Annotated[
        dict[TransformName, Annotated[list[EnabledSignal], FailFast()]],
        AfterValidator(partial(limit_signals, most=SIGNALS_OF_TRANSFORMS)),
    ] = Field(
        default_factory=dict,
        description="Hashes of altered forms of the item, such as mirrored, by the name of the transform.",
        json_schema_extra=EMPTY_DEFAULT,
    )
    signatures: Annotated[
        dict[TransformName, Annotated[list[SignatureText], Len(0, SIGNATURES_AN_ITEM)]],
        AfterValidator(check_view_signatures),
    ] = Field(
        default_factory=dict,
        description="Signatures of the item, by the name `whole`, and of its altered forms, by the name of the "
        "transform: with them, the service distinguishes a copy from a picture that only resembles it.",
        json_schema_extra=EMPTY_DEFAULT,
    )

    def to_query(self, **options: Any) -> Query:
        """The query for the item, with these further options."""
        return Query(
            tuple(dict.fromkeys(self.signals)),
            transforms={name: tuple(signals) for name, signals in self.transforms.items()},
            frames=tuple([frame.to_domain() for frame in self.frames]),
            duration=self.duration,
            signatures={name: tuple(dict.fromkeys(of_view)) for name, of_view in self.signatures.items()},
            **options,
        )


class QueryIn(ItemIn):
    """One item to match."""

    min_seconds: Seconds | None = Field(
        None, description="How many seconds of a video must align with a listed video, instead of the default."
    )
    min_words: WordCount | None = Field(
        None, description="How many words of a text must align with a listed text, instead of the default."
    )
    radius: Annotated[dict[Algorithm, int], AfterValidator(_check_query_radii)] = Field(
        default_factory=dict,
        description="How many bits may differ, by algorithm, instead of the default radius.",
        json_schema_extra=EMPTY_DEFAULT,
    )
    min_score: Annotated[Annotated[float, Ge(0), Le(MAX_SCORE)] | None, AfterValidator(check_scored)] = Field(
        None, description="The minimum score of a match, 0 to 20; a contribution with a lower score is not a match."
    )
    order: Annotated[Order, AfterValidator(check_scored)] = Field(
        Order.DISTANCE, description="The order of the matches: nearest or most certain first."
    )

    def to_domain(self) -> Query:
        """The query."""
        return self.to_query(
            id=self.id,
            radius=self.radius,
            min_seconds=self.min_seconds,
            min_score=self.min_score,
            order=self.order,
            min_words=self.min_words,
        )


def limit_queries(queries: list[QueryIn]) -> list[QueryIn]:
    """The queries, if they have not too many signals, signatures and frames for one request. A validator."""
    if sum([len(query.signals) + sum(map(len, query.transforms.values())) for query in queries]) > SIGNALS_A_REQUEST:
        raise ValueError(f"must be at most {SIGNALS_A_REQUEST} signals in all, without those of frames")
    if sum([sum(map(len, query.signatures.values())) for query in queries if query.signatures]) > SIGNALS_A_REQUEST:
        raise ValueError(f"must be at most {SIGNALS_A_REQUEST} signatures in all")
    return limit_frames(queries)


class QueriesIn(RequestModel):
    """A request to match."""

    queries: Annotated[list[QueryIn], Len(1, QUERIES_A_REQUEST), AfterValidator(limit_queries)] = Field(
        description="The queries: 1 to 1,000 items, with at most 4,000 signals in all."
    )

    @classmethod
    def from_domain(cls, queries: Sequence[Query]) -> Self:
        """The request with these queries; `read_queries` is the inverse."""
        return cls.build(queries=[QueryIn.build(**_query_fields(query)) for query in queries])


def queries_in_requests(queries: Iterable[Query]) -> Iterator[list[Query]]:
    """The queries in parts, each within the limits of one request; there is at least one part."""

    def sizes(query: Query) -> tuple[int, int, int, int]:
        """How many queries (one), signals, signatures and frames this is, in the order of the limits below."""
        signals = len(query.signals) + sum(map(len, query.transforms.values()))
        return 1, signals, sum(map(len, query.signatures.values())), len(query.frames)

    return in_parts(queries, sizes, (QUERIES_A_REQUEST, SIGNALS_A_REQUEST, SIGNALS_A_REQUEST, FRAMES_A_REQUEST))


def _query_fields(query: Query) -> dict[str, Any]:
    fields = item_fields(query) | {"id": query.id, "radius": dict(query.radius)}
    # An older service refuses these fields.
    for name in ("min_seconds", "min_words", "min_score"):
        if (value := getattr(query, name)) is not None:
            fields[name] = value
    if query.order is not Order.DISTANCE:
        fields["order"] = query.order
    return fields


def item_fields(query: Query) -> dict[str, Any]:
    """The fields of `ItemIn` that are not empty."""
    fields: dict[str, Any] = {"signals": list(query.signals)}
    if query.duration is not None:
        fields["duration"] = query.duration
    if query.frames:
        fields["frames"] = list(map(QueryFrameIn.from_domain, query.frames))
    for name in ("transforms", "signatures"):
        if by_view := getattr(query, name):
            fields[name] = {view: list(values) for view, values in by_view.items()}
    return fields


def read_queries(text: bytes, context: ValidationContext) -> tuple[Query, ...]:
    """The queries of a request, in order. Raises MalformedRequest, TooLarge, or InvalidInput with every fault."""
    if plain := parse_plain_queries(text, context.rules):
        return plain
    return tuple(map(QueryIn.to_domain, read_with_frames(QueriesIn, text, context).queries))


class MatchOut(ResponseModel, Mirror[Match]):
    """A contribution that is close to the query."""

    contribution: int = Field(description="The id of the contribution.")
    distance: dict[Algorithm, int | None] = Field(
        description="How many bits differ, by algorithm, for those within the radius. Null if the key may not know it."
    )
    agree: list[Algorithm] = Field(description="The algorithms whose signals are within the radius.")
    labels: list[str] = Field(description="What the content does.")
    severity: int | None = Field(description="0 to 4; higher is worse, 4 is a crisis.")
    standing: Standing = Field(description="What opinions and decisions say about the contribution.")
    context: list[str] = Field(description="What a reviewer needs to know before acting.")
    removed_at: Moment | None = Field(description="When the contributor removed the item; null if unknown.")
    received_at: Moment = Field(description="When the service received the contribution.")
    transform: Annotated[str | None, OMIT_DEFAULT] = Field(
        None, description="The transform of the item that is close, if the item itself is not."
    )
    digest: Annotated[Algorithm | None, OMIT_DEFAULT] = Field(
        None, description="The strongest digest of the file or the address that is equal: `sha256`, `md5` or `url`."
    )
    segments: Annotated[list[SegmentOut], OMIT_DEFAULT] = Field(
        [],
        description="For a video, a document or a text, and a listed one: the stretches that show the same, longest "
        "first.",
    )
    covered: Annotated[CoveredOut | None, OMIT_DEFAULT] = Field(
        None, description="How much the segments cover together."
    )
    at: Annotated[list[float], OMIT_DEFAULT] = Field(
        [], description="For a picture and a listed video: when the video shows it, in seconds from its start."
    )
    frames: Annotated[list[FrameMatchOut], OMIT_DEFAULT] = Field(
        [], description="For a video or a document and a listed picture: the frames or pages that are near the picture."
    )
    pages: Annotated[list[int], OMIT_DEFAULT] = Field(
        [], description="For a picture and a listed document: the pages that show it, from 1."
    )
    words: Annotated[list[tuple[int, int]], OMIT_DEFAULT] = Field(
        [], description="For a single window of words and a listed text: its windows that are near, as in `segments`."
    )
    score: Annotated[float | None, OMIT_DEFAULT] = Field(
        None,
        description="How certain the match is: -log10 of the rate of false matches a pair of pictures of the worst "
        "kind, 0 to 20. Absent for a video, and if the key may not know it.",
    )
    evidence: Annotated[EvidenceOut | None, OMIT_DEFAULT] = Field(
        None, description="The evidence for the match, if the query has transforms or signatures."
    )
    origin: Annotated[OriginOut | None, OMIT_DEFAULT] = Field(
        None, description="Where the contribution was first contributed, if it came from another hashdb."
    )


class ResultOut(ResponseModel, Mirror[Result]):
    """The result of one query. It is advice to review, never a command."""

    id: str | None = Field(description="Your own id of the query.")
    signals: Annotated[list[SignalText], OMIT_DEFAULT] = Field(
        [], description="In matches of pictures: the hashes of the picture."
    )
    members: int = Field(
        description="How many members contributed or confirmed a match; counts all matches, also those cut off."
    )
    severity: int | None = Field(
        None, description="The highest severity of a match; considers all matches, also those cut off."
    )
    incomplete: Annotated[str | None, OMIT_DEFAULT] = Field(
        None, description="How much of a damaged video could be read."
    )
    action: Literal["review", "none"] = Field(description="`review` if there is a match, else `none`.")
    truncated: bool = Field(description="Whether matches were cut off.")
    matches: list[MatchOut] = Field(description="The matches, nearest first.")


class AnswerOut(ResponseModel, Mirror[Answer]):
    """The response to a request to match: one result for each query, in order."""

    results: list[ResultOut] = Field(description="The results, in the order of the queries.")
    checkpoint: int = Field(description="The seq of the last event that the result takes into account.")


_json_string = JSONEncoder(ensure_ascii=False).encode
# What the matches of one contribution have in common: labels, severity, standing, context, removed_at, received_at.
_About = tuple[tuple[str, ...], int | None, Standing, tuple[str, ...], datetime | None, datetime]


def answer_text(answer: Answer) -> str:
    """The same text as `AnswerOut.from_domain(answer).json_text()`, several times as fast.

    The fields of a contribution are written once for all queries that find it: most matches differ in distance only.
    """
    results = ",".join(map(_result_text, answer.results, repeat({})))
    return f'{{"results":[{results}],"checkpoint":{answer.checkpoint}}}'


def _result_text(result: Result, about_texts: dict[_About, str]) -> str:
    id = "null" if result.id is None else _json_string(result.id)
    signals = f'"signals":{_list_text(map(str, result.signals))},' if result.signals else ""
    if result.incomplete is not None:
        signals += f'"incomplete":{_json_string(result.incomplete)},'
    severity = "null" if result.severity is None else result.severity
    truncated = "true" if result.truncated else "false"
    matches = ",".join(map(_match_text, result.matches, repeat(about_texts)))
    return (
        f'{{"id":{id},{signals}"members":{result.members},"severity":{severity},'
        f'"action":"{result.action}","truncated":{truncated},"matches":[{matches}]}}'
    )


def _match_text(match: Match, about_texts: dict[_About, str]) -> str:
    # The fields of Match in order: these two, those of `_About`, these two, those of `_FRAME_FIELDS`, the last three.
    contribution, distance = match[:2]
    transform, digest = match[8:10]
    about = match[2:8]
    if (text := about_texts.get(about)) is None:
        text = about_texts[about] = _about_text(*about)
    optional = "" if transform is None else f',"transform":{_json_string(transform)}'
    if digest is not None:
        optional += f',"digest":"{digest}"'
    if any(match[10:16]):
        optional += _frames_text(match)
    if match.score is not None:
        optional += f',"score":{match.score}'
    if match.evidence is not None:
        optional += f',"evidence":{EvidenceOut.from_domain(match.evidence).json_text()}'
    if match.origin is not None:
        optional += f',"origin":{OriginOut.from_domain(match.origin).json_text()}'
    return f'{{"contribution":{contribution},{_distance_text(tuple(distance.items()))},{text}{optional}}}'


def _frames_text(match: Match) -> str:
    details = MatchOut.from_domain(match).model_dump(include=_FRAME_FIELDS, exclude_unset=True, mode="json")
    return "".join(f',"{name}":{json.dumps(value, separators=(",", ":"))}' for name, value in details.items())


_FRAME_FIELDS = {"segments", "covered", "at", "frames", "pages", "words"}


@lru_cache(4096)
def _distance_text(distance: tuple[tuple[Algorithm, int | None], ...]) -> str:
    items = ",".join([f'"{algorithm}":{"null" if bits is None else bits}' for algorithm, bits in distance])
    return f'"distance":{{{items}}},"agree":{_list_text(algorithm for algorithm, _ in distance)}'


def _about_text(
    labels: tuple[str, ...],
    severity: int | None,
    standing: Standing,
    context: tuple[str, ...],
    removed_at: datetime | None,
    received_at: datetime,
) -> str:
    removed = "null" if removed_at is None else f'"{format_instant(removed_at)}"'
    return (
        f'"labels":{_list_text(labels)},"severity":{"null" if severity is None else severity},"standing":"{standing}",'
        f'"context":{_list_text(context)},"removed_at":{removed},"received_at":"{format_instant(received_at)}"'
    )


def _list_text(texts: Iterable[str]) -> str:
    return f"[{','.join(map(_json_string, texts))}]"


def _check_benign_radii(radii: dict[Algorithm, int], info: ValidationInfo) -> dict[Algorithm, int]:
    """The radii, if each is of an algorithm of the entry, and at most the radius of a match. A validator."""
    for algorithm, radius in radii.items():
        if not any(signal.algorithm is algorithm for signal in info.data.get("signals", ())):
            raise ValueError(f"there is no signal of {algorithm}")
        if radius > algorithm.radius:
            raise ValueError(f"the radius of {algorithm} must be 0 to {algorithm.radius} bits")
    return radii


class BenignIn(RequestModel, Mirror[BenignDraft]):
    """A benign entry to add: the service accepts and matches nothing near its signals."""

    signals: Annotated[list[EnabledSignal], Len(1, SIGNALS_AN_ENTRY), DISTINCT] = Field(
        description="The hashes of content that anyone may show, such as a splash screen or a test card."
    )
    radius: Annotated[dict[Algorithm, Annotated[int, Ge(0), Le(256)]], AfterValidator(_check_benign_radii)] = Field(
        {},
        description="How many bits may differ, by algorithm. The default is half the radius of a match, and "
        "all of it for texts.",
    )
    note: Line = Field("", description="A description for readers of the list.")


class BenignOut(ResponseModel, Mirror[BenignEntry]):
    """An entry of the benign list."""

    id: int = Field(description="The id of the entry.")
    signals: list[SignalText] = Field(description="The signals of the entry.")
    radius: dict[Algorithm, int] = Field(description="How many bits may differ, by algorithm.")
    note: str = Field(description="A description for readers of the list.")
    built_in: str | None = Field(
        description="The name of the entry in the list that comes with hashdb; null for other entries."
    )
    created_at: Moment = Field(description="When the entry was added.")
    masked: int = Field(description="How many signals of contributions the entry suppresses now.")


class BenignsOut(PageModel):
    """A page of the benign list."""

    benign: list[BenignOut] = Field(description="The entries of this page.")
    next: Next
