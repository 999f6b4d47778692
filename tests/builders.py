"""Builders of the tests: signals, drafts, queries, members with keys, and a clock that a test sets."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import chain, count

from hashdb.domain.accounts.members import COMMAND_LINE, Actor, KeyDraft, MemberDraft, MemberKind, MemberLimits, Scope
from hashdb.domain.contributions import Contribution, Draft, Media, Standing
from hashdb.domain.frames import Frame, Unit, split_shots
from hashdb.domain.ledger import merkle
from hashdb.domain.ledger.commitments import commit_lines, item_lines
from hashdb.domain.matching.matches import Query
from hashdb.domain.rules import Rules
from hashdb.domain.sharing.feed import CopiedContribution, CopiedShot
from hashdb.domain.signals import Algorithm, Signal
from hashdb.domain.signatures import Kind, Signature
from hashdb.hashing.texts import QUERY_STEP, hash_text
from hashdb.service import HashDB
from hashdb.service.accounts import members
from hashdb.service.contributions import contributions
from hashdb.service.ledger.signing import Signing
from hashdb.settings import Settings
from hashdb.store import Store
from tests import schemas

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
RULES = Settings().rules()
USUAL = (Scope.CONTRIBUTE, Scope.MATCH, Scope.FEED)

_names = count(1)


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self, at: datetime = NOON) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def advance(self, **by: float) -> None:
        """Move the clock forward (or back) by days, hours, seconds, …"""
        self.at += timedelta(**by)


@cache
def signal(seed: int, algorithm: Algorithm = Algorithm.PDQ) -> Signal:
    """A random signal with exactly half of its bits set, always the same for one seed."""
    rng = random.Random(f"{algorithm}:{seed}")
    return Signal(algorithm, sum(1 << bit for bit in rng.sample(range(algorithm.bits), algorithm.bits // 2)))


def signature(seed: int, kind: Kind = Kind.DETAIL) -> Signature:
    """A random signature, always the same for one seed."""
    return Signature(kind, random.Random(f"{kind}:{seed}").randbytes(kind.octets))


def tree_root(leaves: Sequence[bytes]) -> bytes:
    """The root of the Merkle tree over these leaves."""
    return merkle.fold(merkle.grow(0, (), leaves)[1])


def sparse(seed: int) -> Signal:
    """A signal of phash256 that is a product of rows and columns, with exactly half of its bits set."""
    rng = random.Random(f"sparse:{seed}")
    down, across = (set(rng.sample(range(16), 8)) for _ in range(2))
    set_bits = (16 * row + column for row in range(16) for column in range(16) if (row in down) == (column in across))
    return Signal(Algorithm.PHASH256, sum(1 << bit for bit in set_bits))


def near(origin: Signal, distance: int, seed: int = 0) -> Signal:
    """A signal at this distance from `origin`. The numbers of their set bits differ by at most one."""
    rng = random.Random(seed)
    bits = range(origin.algorithm.bits)
    ones = [bit for bit in bits if origin.value >> bit & 1]
    zeros = [bit for bit in bits if not origin.value >> bit & 1]
    flipped = rng.sample(ones, distance // 2) + rng.sample(zeros, distance - distance // 2)
    return replace(origin, value=origin.value ^ sum(1 << bit for bit in flipped))


def draft(*signals: Signal | int, **fields: object) -> Draft:
    """A draft with these signals (a number is the seed of a signal), removed an hour before noon."""
    all_signals = tuple(signal(item) if isinstance(item, int) else item for item in signals)
    default = Draft(all_signals, labels=("glorification",), removed_at=NOON - timedelta(hours=1), quality=90)
    return replace(default, **fields)  # type: ignore[arg-type]


def film(*seeds: int, away: int = 0, quality: int = 90) -> tuple[Frame, ...]:
    """A frame for each seed, a second apart, whose signal differs in `away` bits from the signal of the seed."""
    return tuple(Frame(float(at), (near(signal(seed), away),), quality) for at, seed in enumerate(seeds))


def video(*seeds: int, signals: tuple[Signal, ...] = (), **fields: object) -> Draft:
    """A draft of a video with a frame for each seed, and with these signals of the item itself."""
    return draft(
        *signals, media=Media.VIDEO, frames=film(*seeds), duration=float(len(seeds)), **{"quality": None, **fields}
    )


def clip(*seeds: int, away: int = 4) -> Query:
    """A query of a video with a frame near the frame of each seed."""
    return Query((), frames=film(*seeds, away=away), duration=float(len(seeds)))


def query(*signals: Signal | int, **radius: int) -> Query:
    """A query with these signals (a number is the seed of a signal). Radii are given by the names of algorithms."""
    all_signals = tuple(signal(item) if isinstance(item, int) else item for item in signals)
    return Query(all_signals, radius={Algorithm(name): bits for name, bits in radius.items()})


def hashdb(
    url: str, clock: Clock, rules: Rules = RULES, busy_seconds: float = 10.0, signing: Signing | None = None
) -> HashDB:
    """A service over the database at `url`. The schema is created if it is missing."""
    schemas.make(url)
    store = Store(url, busy_seconds)
    return HashDB(store, rules, clock, signing=signing)


def key_of(db: HashDB, member: int, *scopes: Scope) -> Actor:
    """Issue a new key of a member, and return the actor of that key."""
    return members.authenticate(db, members.issue_key(db, COMMAND_LINE, member, KeyDraft(frozenset(scopes))).secret)


def member_with(db: HashDB, *scopes: Scope, a_day: int | None = None, kind: MemberKind = MemberKind.PLATFORM) -> Actor:
    """Add a member, and return the actor of its key with these scopes (by default those of a platform)."""
    member = MemberDraft(f"Member {next(_names)}", kind, limits=MemberLimits(a_day))
    return key_of(db, members.add(db, COMMAND_LINE, member).id, *(scopes or USUAL))


def with_new_key(db: HashDB, actor: Actor, *scopes: Scope) -> Actor:
    """Read the member again, issue it a new key, and return the actor of that key."""
    assert actor.member is not None
    return key_of(db, actor.member.id, *(scopes or USUAL))


def contributed(db: HashDB, actor: Actor, *drafts: Draft) -> tuple[Contribution, ...]:
    """Contribute these drafts, and return the contributions."""
    return tuple(recorded.contribution for recorded in contributions.contribute(db, actor, drafts).recorded)


def words(seed: int, count: int) -> list[str]:
    """`count` words of a language that nobody speaks, always the same for one seed."""
    rng = random.Random(f"words:{seed}")
    return ["".join(rng.choices("aeioubdfgkmnprstvz", k=5)) for _ in range(count)]


def text(*parts: list[str], **fields: object) -> Draft:
    """A draft of a text with these words, hashed by windows."""
    frames = hash_text(" ".join(chain(*parts)))
    return draft(**{"media": Media.TEXT, "frames": frames, "quality": None, **fields})


def excerpt(*parts: list[str], **fields: object) -> Query:
    """A query of a text with these words, hashed by windows."""
    return replace(Query((), frames=hash_text(" ".join(chain(*parts)), step=QUERY_STEP)), **fields)  # type: ignore[arg-type]


def pages(*seeds: int, away: int = 0) -> tuple[Frame, ...]:
    """A page for each seed, whose signal differs in `away` bits from the signal of the seed."""
    signals = [near(signal(seed), away) for seed in seeds]
    return tuple(Frame(page, (one,), 90, unit=Unit.PAGES) for page, one in enumerate(signals, 1))


def document(seeds: tuple[int, ...], *parts: list[str], **fields: object) -> Draft:
    """A draft of a document with a page for each seed, and these words."""
    frames = (*pages(*seeds), *hash_text(" ".join(chain(*parts))))
    return draft(**{"media": Media.DOCUMENT, "frames": frames, "quality": None, **fields})


def copied(
    id: int, signals: Sequence[Signal], frames: Sequence[Frame] = (), signatures: Sequence[Signature] = ()
) -> CopiedContribution:
    """A contribution as the feed returns it, with a commitment to its signals and signatures."""

    def octets(signal: Signal) -> tuple[Algorithm, bytes]:
        return signal.algorithm, signal.to_bytes()

    salt = random.Random(id).randbytes(16)
    shots = [
        CopiedShot(shot.start, shot.end, tuple(map(octets, shot.frames[0].signals)), shot.unit)
        for shot in split_shots(frames)
        if shot.frames[0].matches
    ]
    return CopiedContribution(
        id,
        1,
        tuple(map(octets, signals)),
        ("incitement",),
        None,
        Standing.UNREVIEWED,
        (),
        NOON,
        NOON,
        None,
        shots=tuple(shots),
        signatures=tuple((signature.kind, signature.octets) for signature in signatures),
        salt=salt,
        commitment=commit_lines(salt, item_lines(signals, split_shots(frames), signatures)),
    )
