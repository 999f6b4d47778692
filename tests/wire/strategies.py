"""Hypothesis strategies for domain values that the wire models can carry."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from string import ascii_lowercase, digits

from hypothesis import strategies as st

from hashdb.domain.accounts.members import (
    Key,
    KeyDraft,
    Member,
    MemberChange,
    MemberDraft,
    MemberKind,
    MemberLimits,
    MemberStatus,
    Scope,
)
from hashdb.domain.contributions import (
    UNSET,
    Amendment,
    Contribution,
    Draft,
    Media,
    Receipt,
    Recorded,
    Standing,
    Status,
)
from hashdb.domain.frames import Unit
from hashdb.domain.matching.matches import Answer, Evidence, FrameMatch, Match, Order, Query, Result
from hashdb.domain.matching.segments import Covered, Segment
from hashdb.domain.origins import Origin
from hashdb.domain.review.cases import Case, Cause, Decision, Opinion, OpinionDraft, Stance
from hashdb.domain.sharing.feed import Change, Changes, Gone
from hashdb.domain.signals import DIGESTS, Algorithm, Signal
from hashdb.domain.signatures import WHOLE, Kind, Signature
from hashdb.wire import ValidationContext
from tests.builders import NOON, RULES

CONTEXT = ValidationContext(RULES, NOON)

ids = st.integers(1, 2**53 - 1)
optional_ids = st.none() | st.integers(0, 2**31 - 1)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=200)
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
names = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=100).filter(
    lambda name: not name.isdecimal()
)
_past = st.timedeltas(timedelta(days=-700_000), timedelta(0)).map(lambda before: NOON + before)
_future = st.timedeltas(timedelta(microseconds=1), timedelta(days=2_900_000)).map(lambda after: NOON + after)
moments = _past | _future


def _signal(algorithm: Algorithm) -> st.SearchStrategy[Signal]:
    return st.builds(Signal, st.just(algorithm), st.integers(0, 2**algorithm.bits - 1))


@st.composite
def usual_signals(draw: st.DrawFn) -> Signal:
    """A signal of an enabled algorithm with half of its bits set."""
    algorithm = draw(st.sampled_from(RULES.algorithms))
    bits = Random(draw(ids)).sample(range(algorithm.bits), algorithm.bits // 2)
    return Signal(algorithm, sum(1 << bit for bit in bits))


signals = st.sampled_from(Algorithm).flatmap(_signal)


def _signature(kind: Kind) -> st.SearchStrategy[Signature]:
    return st.builds(Signature, st.just(kind), st.binary(min_size=kind.octets, max_size=kind.octets))


_signatures = st.lists(st.sampled_from(Kind).flatmap(_signature), max_size=2, unique=True).map(tuple)


def _codes(kind: str, min_size: int = 0) -> st.SearchStrategy[tuple[str, ...]]:
    codes: tuple[str, ...] = getattr(RULES.vocabulary, kind)
    return st.lists(st.sampled_from(codes), min_size=min_size, max_size=5, unique=True).map(tuple)


def _code(kind: str) -> st.SearchStrategy[str | None]:
    codes: tuple[str, ...] = getattr(RULES.vocabulary, kind)
    return st.none() | st.sampled_from(codes)


_entities = st.none() | st.sampled_from(["UN:example", "EU:a-b_c", f"UK:{'a' * 64}"])
_incidents = st.none() | st.sampled_from(["CIP:example", "CI:2026-x"])
_severities = st.none() | st.integers(0, 4)

drafts = st.builds(
    Draft,
    signals=st.lists(usual_signals(), min_size=1, max_size=4, unique=True).map(tuple),
    labels=_codes("behaviour", 1),
    removed_at=_past,
    quality=st.integers(50, 100),
    media=st.sampled_from(Media),
    severity=_severities,
    basis=_code("basis"),
    tco_ground=_code("tco_ground"),
    entity=_entities,
    incident=_incidents,
    context=_codes("context"),
    notified_at=st.none() | _past,
    reference=st.none() | texts,
    expires_at=st.none() | _future,
    signatures=_signatures,
)

amendments = st.builds(
    Amendment,
    labels=st.just(UNSET) | _codes("behaviour", 1),
    severity=st.just(UNSET) | _severities,
    basis=st.just(UNSET) | _code("basis"),
    context=st.just(UNSET) | _codes("context"),
    incident=st.just(UNSET) | _incidents,
    expires_at=st.just(UNSET) | st.none() | _future,
)

_logs = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=40)
_origins = st.none() | st.builds(Origin, _logs, st.integers(0, 2**53 - 1), st.integers(0, 2**53 - 1))
_full_contributions = st.builds(
    Contribution,
    id=ids,
    origin=_origins,
    member=ids,
    member_name=names,
    status=st.sampled_from(Status),
    standing=st.sampled_from(Standing),
    received_at=moments,
    signals=st.lists(signals, max_size=4).map(tuple),
    labels=_codes("behaviour"),
    removed_at=st.none() | moments,
    quality=st.none() | st.integers(0, 100),
    media=st.sampled_from(Media),
    severity=_severities,
    basis=_code("basis"),
    tco_ground=_code("tco_ground"),
    entity=_entities,
    incident=_incidents,
    context=_codes("context"),
    notified_at=st.none() | moments,
    reference=st.none() | texts,
    expires_at=st.none() | moments,
    withdrawn_at=st.none() | moments,
    withdrawal_reason=_code("reason"),
    erased=st.booleans(),
    masked=st.integers(0, 64),
    pages=st.none(),
    words=st.none(),
    changed_at=st.none() | moments,
    signatures=_signatures,
)


@st.composite
def contributions(draw: st.DrawFn) -> Contribution:
    """A contribution as a reader sees it: with or without signals, reference and member."""
    return draw(_full_contributions).shown(
        signals=draw(st.booleans()), reference=draw(st.booleans()), member=draw(st.booleans())
    )


receipts = st.builds(
    Receipt, st.lists(st.builds(Recorded, contributions(), st.booleans()), max_size=3).map(tuple), checkpoint=ids
)

changes = st.builds(
    Changes,
    st.lists(
        st.builds(Change, ids, contributions() | st.builds(Gone, ids, st.sampled_from(["withdrawn", "expired"]))),
        max_size=3,
    ).map(tuple),
    checkpoint=st.integers(0, 2**53 - 1),
    more=st.booleans(),
    epoch=st.text("0123456789abcdef", min_size=32, max_size=32),
)

_radii = st.dictionaries(st.sampled_from(RULES.algorithms), st.integers(0, 6), max_size=3)
queries = st.builds(
    Query,
    signals=st.lists(usual_signals(), min_size=1, max_size=4, unique=True).map(tuple),
    id=st.none() | any_text,
    radius=_radii,
    transforms=st.dictionaries(
        st.sampled_from(["mirror", "tilt-left"]), st.just((Signal(Algorithm.PHASH, 2**32 - 1),))
    ),
    signatures=st.just({}) | st.builds(lambda signatures: {WHOLE: signatures}, _signatures),
    min_score=st.none() | st.integers(0, 200).map(lambda tenths: tenths / 10),
    order=st.sampled_from(Order),
    min_words=st.none() | st.integers(1, 2_000_000),
)

_seconds = st.integers(0, 86_400_000).map(lambda milliseconds: milliseconds / 1000)
_counts = st.integers(0, 7_200)
_transforms = st.none() | st.text(f"{ascii_lowercase}{digits}-", min_size=1, max_size=32)
_time_ranges = st.tuples(_seconds, _seconds)
_bits = st.none() | st.integers(0, 256)
_numbers = st.integers(0, 2_000_000)
_word_ranges = st.tuples(_numbers, _numbers)


def _segments_in(unit: Unit) -> st.SearchStrategy[Segment]:
    ranges = _time_ranges if unit is Unit.SECONDS else _word_ranges
    return st.builds(Segment, ranges, ranges, _seconds, _counts, _counts, _bits, _transforms, unit=st.just(unit))


_segments = st.sampled_from(Unit).flatmap(_segments_in)
_by_algorithm = st.dictionaries(st.sampled_from(Algorithm), _bits, min_size=1)
_frame_matches = st.builds(FrameMatch, _seconds, _by_algorithm, st.just(Unit.SECONDS)) | st.builds(
    FrameMatch, _numbers, _by_algorithm, st.just(Unit.PAGES)
)
_halves = st.sampled_from([0.0, 0.5])
_views = st.lists(st.sampled_from([WHOLE, "mirror"]), unique=True).map(tuple)
_matches = st.builds(
    Match,
    contribution=ids,
    distance=st.dictionaries(st.sampled_from(Algorithm), _bits, min_size=1),
    labels=_codes("behaviour"),
    severity=_severities,
    standing=st.sampled_from(Standing),
    context=_codes("context"),
    removed_at=st.none() | moments,
    received_at=moments,
    transform=_transforms,
    digest=st.sampled_from([None, *DIGESTS]),
    segments=st.lists(_segments, max_size=2).map(tuple),
    covered=st.none() | st.builds(Covered, st.sampled_from([0.0, 0.25, 1.0]), st.sampled_from([0.5, 0.125])),
    at=st.lists(_seconds, max_size=3).map(tuple),
    frames=st.lists(_frame_matches, max_size=2).map(tuple),
    pages=st.lists(_numbers, max_size=2).map(tuple),
    words=st.lists(_word_ranges, max_size=2).map(tuple),
    score=st.none() | st.sampled_from([0.0, 6.5, 20.0]),
    evidence=st.none() | st.builds(Evidence, _views, st.none() | _halves, st.none() | _halves),
    origin=_origins,
)
_results = st.builds(
    Result,
    id=st.none() | any_text,
    matches=st.lists(_matches, max_size=3).map(tuple),
    members=st.integers(0, 1000),
    truncated=st.booleans(),
    severity=st.none() | st.integers(0, 4),
    signals=st.lists(signals, max_size=3).map(tuple),
)
answers = st.builds(Answer, st.lists(_results, max_size=3).map(tuple), checkpoint=ids)

limits = st.builds(MemberLimits, optional_ids)
member_drafts = st.builds(MemberDraft, names, st.sampled_from(MemberKind), texts, limits)
member_changes = st.builds(
    MemberChange,
    name=st.none() | names,
    kind=st.none() | st.sampled_from(MemberKind),
    contact=st.none() | texts,
    limits=st.none() | limits,
    status=st.none() | st.sampled_from(MemberStatus),
)
members = st.builds(
    Member,
    id=ids,
    name=names,
    kind=st.sampled_from(MemberKind),
    status=st.sampled_from(MemberStatus),
    contact=texts,
    limits=limits,
    created_at=moments,
)
scopes = st.frozensets(st.sampled_from(Scope), min_size=1)
key_drafts = st.builds(KeyDraft, scopes, st.none() | moments)
keys = st.builds(
    Key,
    id=ids,
    member=st.just(0),
    scopes=scopes,
    created_at=moments,
    expires_at=st.none() | moments,
    revoked_at=st.none() | moments,
)

notes = st.none() | st.text(st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n"), max_size=2000)
opinion_drafts = st.builds(OpinionDraft, st.just(Stance.CONFIRMS), st.none(), notes) | st.builds(
    OpinionDraft, st.just(Stance.DISPUTES), st.sampled_from(RULES.vocabulary.reason), notes
)
_opinions = st.builds(
    Opinion,
    id=ids,
    contribution=ids,
    member=ids,
    member_name=names,
    stance=st.sampled_from(Stance),
    reason=_code("reason"),
    note=notes,
    given_at=moments,
    case=st.none() | ids,
    counts=st.booleans(),
)
_cases = st.builds(
    Case,
    id=ids,
    contribution=ids,
    member=ids,
    member_name=names,
    reason=st.sampled_from([*RULES.vocabulary.reason, *Cause]).map(str),
    holds=st.booleans(),
    opened_at=moments,
    due_at=moments,
    decision=st.none() | st.sampled_from(Decision),
    note=notes,
    decided_at=st.none() | moments,
    decided_by=st.none() | st.just("key:9"),
    shadow=st.none() | st.lists(st.integers(0, 63), unique=True).map(tuple),
    follows=st.none() | ids,
    opinions=st.lists(_opinions, max_size=2).map(tuple),
)


@st.composite
def opinions(draw: st.DrawFn) -> Opinion:
    """An opinion as a reader sees it: with or without its note."""
    return draw(_opinions).shown(note=draw(st.booleans()))


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A case as a reader sees it: with or without who decided and whose contribution it is."""
    return draw(_cases).shown(decided_by=draw(st.booleans()), member=draw(st.booleans()))
