"""Queries and matches on the wire."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from annotated_types import Len
from pydantic import AfterValidator, Field, StringConstraints, ValidationError, ValidationInfo
from pydantic_core import InitErrorDetails

from hashdb.domain.contributions import Standing
from hashdb.domain.matches import Answer, Match, Query, Result
from hashdb.domain.rules import QUERIES_A_REQUEST, SIGNALS_A_REQUEST, SIGNALS_AN_ITEM
from hashdb.domain.signals import Algorithm
from hashdb.wire import Answered, Moment, Opaque, Sent, SignalText, Terms, read, ruled


def _within_rules(radii: dict[Algorithm, int], info: ValidationInfo) -> dict[Algorithm, int]:
    if not isinstance(info.context, Terms):
        return radii
    rules = info.context.rules
    faults = {algorithm: rules.radius_fault(algorithm, radius) for algorithm, radius in radii.items()}
    if told := [_line(str(algorithm), fault) for algorithm, fault in faults.items() if fault]:
        raise ValidationError.from_exception_data("radius", told)
    return radii


def _line(name: str, reason: str) -> InitErrorDetails:
    return {"type": "value_error", "loc": (name,), "input": None, "ctx": {"error": ValueError(reason)}}


def _few_signals(transforms: dict[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
    if sum(map(len, transforms.values())) > SIGNALS_AN_ITEM:
        raise ValueError(f"take at most {SIGNALS_AN_ITEM} signals in all")
    return transforms


TransformName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9-]{1,32}$")]
_Asked = Annotated[SignalText, ruled(lambda terms, signal: terms.rules.algorithm_fault(signal.algorithm))]


class QueryIn(Sent):
    """One item to match."""

    id: Opaque | None = Field(None, description="Comes back with the result.")
    signals: Annotated[list[_Asked], Len(1, SIGNALS_AN_ITEM)]
    transforms: Annotated[dict[TransformName, list[_Asked]], AfterValidator(_few_signals)] = Field(
        {}, description="Signals of the item with an alteration undone or tried, by the name of that transform."
    )
    radius: Annotated[dict[Algorithm, int], AfterValidator(_within_rules)] = Field(
        {}, description="Bits that may differ, by algorithm, where less than the default is wanted."
    )

    def value(self) -> Query:
        """The query that this spells."""
        turned = {name: tuple(signals) for name, signals in self.transforms.items()}
        return Query(tuple(dict.fromkeys(self.signals)), self.id, self.radius, turned)


def _few_enough(queries: list[QueryIn]) -> list[QueryIn]:
    asked = sum(len(query.signals) + sum(map(len, query.transforms.values())) for query in queries)
    if asked > SIGNALS_A_REQUEST:
        raise ValueError(f"take at most {SIGNALS_A_REQUEST:,} signals in all")
    return queries


class QueriesIn(Sent):
    """A request that matches."""

    queries: Annotated[list[QueryIn], Len(1, QUERIES_A_REQUEST), AfterValidator(_few_enough)]

    @classmethod
    def of(cls, queries: Sequence[Query]) -> QueriesIn:
        """The wire form of queries; `read_queries` is the inverse."""
        asked = [QueryIn.model_construct(**_spelled(query)) for query in queries]
        return cls.model_construct(queries=asked)


def in_requests(queries: Sequence[Query]) -> Iterator[Sequence[Query]]:
    """The queries in parts that a request may have, at least one."""
    start = signals = 0
    for position, query in enumerate(queries):
        more = len(query.signals) + sum(map(len, query.transforms.values()))
        if position > start and (position - start == QUERIES_A_REQUEST or signals + more > SIGNALS_A_REQUEST):
            yield queries[start:position]
            start, signals = position, 0
        signals += more
    yield queries[start:]


def _spelled(query: Query) -> dict[str, Any]:
    said = {"id": query.id, "signals": list(query.signals), "radius": dict(query.radius)}
    # An older service does not know the field.
    return said | (
        {"transforms": {name: list(of) for name, of in query.transforms.items()}} if query.transforms else {}
    )


def read_queries(text: bytes, terms: Terms) -> tuple[Query, ...]:
    """The queries of a request, in order. Raises MalformedRequest or InvalidInput with every fault."""
    return tuple(query.value() for query in read(QueriesIn, text, terms).queries)


class MatchOut(Answered):
    """An active contribution that is close to the query."""

    contribution: int
    distance: dict[Algorithm, int | None] = Field(
        description="Bits apart, by algorithm, of those within the radius; null to a key that is told no distances."
    )
    agree: list[Algorithm]
    labels: list[str]
    severity: int | None
    standing: Standing
    context: list[str]
    removed_at: Moment | None
    received_at: Moment
    transform: str | None = Field(None, description="Where only this transform of the item is close.")

    @classmethod
    def of(cls, match: Match) -> MatchOut:
        """The wire form of a match; `value` is the inverse."""
        return cls.made(
            contribution=match.contribution,
            distance=match.distance,
            agree=list(match.agree),
            labels=list(match.labels),
            severity=match.severity,
            standing=match.standing,
            context=list(match.context),
            removed_at=match.removed_at,
            received_at=match.received_at,
            **({} if match.transform is None else {"transform": match.transform}),
        )

    def value(self) -> Match:
        """The match that this spells."""
        return Match(
            contribution=self.contribution,
            distance=self.distance,
            labels=tuple(self.labels),
            severity=self.severity,
            standing=self.standing,
            context=tuple(self.context),
            removed_at=self.removed_at,
            received_at=self.received_at,
            transform=self.transform,
        )


class ResultOut(Answered):
    """The answer to one query: advice to review, never a command."""

    id: str | None
    signals: list[SignalText] = Field([], description="(matches of media) The picture's own signals.")
    members: int = Field(description="How many members contributed or confirmed any match, also those cut off.")
    severity: int | None = Field(None, description="The highest severity of any match, also of those cut off.")
    action: Literal["review", "none"]
    truncated: bool
    matches: list[MatchOut]

    @classmethod
    def of(cls, result: Result) -> ResultOut:
        """The wire form of a result; `value` is the inverse."""
        signals: dict[str, Any] = {"signals": list(result.signals)} if result.signals else {}
        return cls.made(
            id=result.id,
            members=result.members,
            severity=result.severity,
            action=result.action,
            truncated=result.truncated,
            matches=[MatchOut.of(match) for match in result.matches],
            **signals,
        )

    def value(self) -> Result:
        """The result that this spells."""
        matches = tuple(match.value() for match in self.matches)
        return Result(self.id, matches, self.members, self.truncated, tuple(self.signals), self.severity)


class AnswerOut(Answered):
    """The answer to a request that matches: a result a query, in order."""

    results: list[ResultOut]
    checkpoint: int

    @classmethod
    def of(cls, answer: Answer) -> AnswerOut:
        """The wire form of an answer; `value` is the inverse."""
        results = [ResultOut.of(result) for result in answer.results]
        return cls.made(results=results, checkpoint=answer.checkpoint)

    def value(self) -> Answer:
        """The answer that this spells."""
        return Answer(tuple(result.value() for result in self.results), self.checkpoint)
