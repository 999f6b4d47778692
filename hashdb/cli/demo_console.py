"""What `hashdb demo --console` shows: members, users and 90 days of work, drawn from a seed as of now."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import cycle
from pathlib import Path
from random import Random
from typing import NamedTuple

from PIL import Image

from hashdb.cli.home import open_home
from hashdb.domain.accounts.members import COMMAND_LINE, Actor, KeyDraft, MemberDraft, MemberKind, Scope
from hashdb.domain.accounts.users import Role, User, UserDraft
from hashdb.domain.contributions import Draft, Media
from hashdb.domain.frames import Frame, Unit
from hashdb.domain.matching.benign import BenignDraft
from hashdb.domain.matching.matches import Query
from hashdb.domain.review.cases import Case, Decision, OpinionDraft, Stance
from hashdb.domain.review.incidents import IncidentDraft
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import NotActive, NotFound
from hashdb.evaluation.alterations import ALTERATIONS
from hashdb.hashing import hash_picture
from hashdb.hashing.benign import built_in_benign
from hashdb.hashing.texts import LISTED_STEP, WINDOW
from hashdb.service import HashDB
from hashdb.service.accounts import members, users
from hashdb.service.contributions import contributions
from hashdb.service.ledger import checkpoints
from hashdb.service.matching import benign, matches
from hashdb.service.review import cases, incidents, notes, opinions
from hashdb.service.stats import counts, overviews, reports
from hashdb.settings import Settings
from hashdb.wire.stats import ReportOut

USERS = {"amira": Role.ADMIN, "rosa": Role.REVIEWER, "jonas": Role.REVIEWER, "otto": Role.AUDITOR}
"""The users by name; each has the same password."""
DAYS = 90
"""How many days the demonstration covers."""
_MEMBERS = {
    "Northwind Video": MemberKind.PLATFORM,
    "Palaver": MemberKind.PLATFORM,
    "Lumen Photos": MemberKind.PLATFORM,
    "Kestrel Social": MemberKind.PLATFORM,
    "Harbour Chat": MemberKind.PLATFORM,
    "Internet Referral Desk": MemberKind.AUTHORITY,
    "Civil Watch": MemberKind.TRUSTED_FLAGGER,
    "Saltmarsh Live": MemberKind.PLATFORM,
}
_SHARES = (9, 6, 5, 4, 3, 2, 2, 1)
"""How much each member contributes, in the order of `_MEMBERS`."""
_LABELS = ("branded_propaganda", "glorification", "incitement", "graphic_violence", "recruitment")
_REASONS = ("edsa_context", "not_terrorist_content", "false_match", "wrong_label")
_NOTES = (
    "The same frame stands in a news broadcast that we keep up.",
    "This is a museum's page about the period; the picture is shown with its history.",
    "We see this as a stock photograph on several hundred unrelated accounts.",
    "Our reviewers do not read the banner as the label says.",
    "The uploader appealed, and we put it back.",
)
_REASONS_OF_DECISIONS = {
    Decision.UPHOLD: "The label applies; the context does not change that.",
    Decision.RETIRE: "A news broadcast with its own commentary.",
    Decision.QUARANTINE: "Unclear without the original; asked the contributor.",
}
_STATION, _HARBOUR = "CIP:station-2026", "CIP:harbour-2026"
"""The labels of two incidents."""
_CARD = int("3c" * 32, 16)
"""The hash of a title card."""
_LICENCE = int("5a" * 32, 16)
"""The hash of a window of a licence."""


class _Known(NamedTuple):
    """A contribution, with its draft and the position of its member in `_MEMBERS`."""

    id: int
    draft: Draft
    owner: int


class _Hashed(NamedTuple):
    """The hash and the quality of a frame of a video, or of a page."""

    value: int
    quality: int


def fill(settings: Settings, photos: Sequence[Path], password: str) -> int:
    """Fill the empty home of these settings as of now; return how many contributions there are."""
    with open_home(settings) as db:
        return _Filling(db, photos, settings.algorithms).run(password)


class _Filling:
    """A database whose clock goes through 90 days."""

    def __init__(self, db: HashDB, photos: Sequence[Path], algorithms: Sequence[Algorithm]) -> None:
        self._db = db
        self._random = Random("hashdb demo")
        self._end = db.now()
        self._at = self._end - timedelta(days=DAYS + 1)
        self._known: list[_Known] = []
        self._pictures = list(_hashed(photos, algorithms))
        db.now = lambda: self._at

    def run(self, password: str) -> int:
        db = self._db
        checkpoints.start(db)
        benign.add_built_in(db, built_in_benign())
        people = [users.add(db, COMMAND_LINE, UserDraft(name, role), password).user for name, role in USERS.items()]
        callers = [_caller(db, name, kind) for name, kind in _MEMBERS.items()]
        for label, began, ended in ((_HARBOUR, 80, 70), (_STATION, 12, None)):
            end = None if ended is None else self._before(ended)
            incidents.add(db, COMMAND_LINE, IncidentDraft(label, self._before(began), end))
        for day in range(DAYS, 0, -1):
            self._at = self._before(day)
            self._contribute(callers, day)
            self._match(callers)
            if day > 4 and day % 2:
                self._dispute(callers, 1 + day % 3)
                self._decide(people, most=3)
        self._film(callers)
        self._document(callers)
        self._recent(callers, people)
        self._at = self._end
        # Each call does a part of its work.
        while counts.seal(db) or contributions.emit_pending(db) or opinions.recount(db):
            pass
        while overviews.follow(db) == overviews.BLOCK:
            pass
        self._report(people[-1])
        checkpoints.keep(db, at_once=True)
        return len(self._known)

    def _before(self, days: float) -> datetime:
        return self._end - timedelta(days=days)

    def _contribute(self, callers: Sequence[Actor], day: int) -> None:
        """Let members contribute what they removed on a day: much after an attack, little on a Sunday."""
        random = self._random
        size = 34 if day in (79, 78, 11) else 8 if self._at.weekday() >= 5 else 16
        for place, count in Counter(random.choices(range(len(callers)), _SHARES, k=size)).items():
            self._add(callers, place, *(self._draft(day) for _ in range(count)))
        if day % 5 == 0 and self._pictures:
            # Of a photograph, another member removes an altered copy.
            plain, altered = self._pictures.pop()
            self._add(callers, 0, self._draft(day, plain))
            self._at += timedelta(hours=3)
            self._add(callers, 2, self._draft(day, altered))

    def _add(self, callers: Sequence[Actor], place: int, *drafts: Draft) -> int:
        """Let the member at a position of `_MEMBERS` contribute; return the id of the last contribution."""
        recorded = contributions.contribute(self._db, callers[place], drafts).recorded
        ids = [item.contribution.id for item in recorded]
        self._known += [_Known(id, draft, place) for id, draft in zip(ids, drafts, strict=True)]
        return ids[-1]

    def _draft(self, day: int, signals: tuple[Signal, ...] | None = None) -> Draft:
        random = self._random
        near = random.random() < 0.06 and self._known
        pdq = _near(random, random.choice(self._known).draft.signals[0].value, 8) if near else _random_pdq(random)
        incident = _HARBOUR if 70 <= day <= 79 else _STATION if day <= 11 and random.random() < 0.4 else None
        removed = self._at - timedelta(minutes=random.choice((random.randrange(2, 60), random.randrange(2, 900))))
        return Draft(
            signals or (Signal(Algorithm.PDQ, pdq),),
            tuple(random.sample(_LABELS, k=random.choice((1, 1, 1, 2)))),
            removed,
            quality=random.randrange(60, 101),
            severity=random.choices((1, 2, 3, 4), (2, 5, 4, 2))[0],
            incident=incident,
            notified_at=removed - timedelta(minutes=random.randrange(5, 600)) if random.random() < 0.3 else None,
            reference=f"{random.choice(('tkt', 'case', 'rm'))}-{random.randrange(10_000, 100_000)}",
        )

    def _match(self, callers: Sequence[Actor]) -> None:
        """Let members match what users upload: copies of what is listed, and more that is not."""
        random, db = self._random, self._db
        db.index.catch_up()
        for place in (1, 3, 4):
            recent = random.choices(self._known[-400:], k=3)
            listed = [_near(random, known.draft.signals[0].value, 6) for known in recent]
            values = [*listed, *(_random_pdq(random) for _ in range(5))]
            matches.match(db, callers[place], [Query((Signal(Algorithm.PDQ, value),)) for value in values])
        counts.flush(db)

    def _dispute(self, callers: Sequence[Actor], disputes: int) -> None:
        """Let members dispute some of the latest contributions of others, and confirm two."""
        random = self._random
        for known in random.sample(self._known[-120:], k=disputes):
            self._judge(callers, known, Stance.DISPUTES)
        for known in random.sample(self._known[-120:], k=2):
            self._judge(callers, known, Stance.CONFIRMS)

    def _judge(self, callers: Sequence[Actor], known: _Known, stance: Stance) -> None:
        """Let another member than the owner give an opinion."""
        random = self._random
        # Positions in `_MEMBERS`.
        who = callers[random.choice([place for place in (1, 2, 3, 4, 6) if place != known.owner])]
        disputes = stance is Stance.DISPUTES
        reason = random.choice(_REASONS) if disputes else None
        self._give(who, known.id, OpinionDraft(stance, reason, random.choice(_NOTES) if disputes else None))

    def _give(self, who: Actor, id: int, opinion: OpinionDraft) -> None:
        """Give an opinion, unless the contribution does not match: a decision has retired it, or one near to it."""
        with suppress(NotActive, NotFound):
            opinions.give(self._db, who, id, opinion)

    def _decide(self, people: Sequence[User], most: int) -> None:
        """Let the reviewers decide the oldest cases."""
        random, db = self._random, self._db
        self._at += timedelta(hours=random.randrange(2, 20))
        for case in self._open_cases()[:most]:
            decision = random.choices(list(_REASONS_OF_DECISIONS), (6, 2, 1))[0]
            cases.decide(db, random.choice(people[1:3]).actor, case.id, decision, _REASONS_OF_DECISIONS[decision])

    def _open_cases(self) -> list[Case]:
        """The cases that are not decided, oldest first."""
        every = cases.page(self._db, COMMAND_LINE, state=None, after=0, limit=1_000)
        return [case for case in every if case.decision is None]

    def _film(self, callers: Sequence[Actor]) -> None:
        """Two members contribute videos: a film, and an upload that shows parts of it."""
        random = self._random
        self._at = self._before(1.5)
        film = [[_Hashed(_CARD, 96)] * 3, *(_shot(random) for _ in range(22))]
        part = [[_Hashed(_near(random, value, 2), quality) for value, quality in shot] for shot in film[5:13]]
        upload = [*(_shot(random) for _ in range(6)), *part, *(_shot(random) for _ in range(5))]
        benign.add(self._db, COMMAND_LINE, BenignDraft((Signal(Algorithm.PDQ, _CARD),), note="Title card of an agency"))
        self._add(callers, 0, _video(film, self._at, "clip-0711", severity=4))
        id = self._add(callers, 2, _video(upload, self._at, "up-88213", severity=3))
        note = "The part stands in a documentary that we keep up."
        self._give(callers[3], id, OpinionDraft(Stance.DISPUTES, "edsa_context", note))

    def _document(self, callers: Sequence[Actor]) -> None:
        """Members contribute a magazine, a text that has a part of it, and the address under which it was found."""
        random = self._random
        self._at = self._before(1.2)
        removed = self._at - timedelta(minutes=25)
        words = [_random_pdq(random) for _ in range(34)]
        words[30:33] = [_LICENCE] * 3
        # Two pages have little on them.
        qualities = [22 if number in (1, 11) else None for number in range(12)]
        pages = [_Hashed(_random_pdq(random), quality or random.randrange(62, 100)) for quality in qualities]
        part = [_near(random, value, 20) for value in words[8:17]]
        excerpt = [*(_random_pdq(random) for _ in range(6)), *part, *(_random_pdq(random) for _ in range(4))]
        copied = [_Hashed(_near(random, value, 6), quality) for value, quality in pages[2:5]]
        scanned = [_Hashed(_random_pdq(random), 88), *copied]
        licence = Signal(Algorithm.SIMHASH256, _LICENCE)
        benign.add(self._db, COMMAND_LINE, BenignDraft((licence,), note="Text of a licence that many documents have"))
        self._add(callers, 5, document_draft(pages, words, removed, "mag-0042", severity=3))
        self._add(callers, 1, document_draft(scanned, (), removed, "scan-77", severity=3))
        id = self._add(callers, 6, document_draft((), excerpt, removed, "post-5150", severity=2))
        note = "The part stands in a court's ruling that we keep up."
        self._give(callers[3], id, OpinionDraft(Stance.DISPUTES, "edsa_context", note))
        digest = hashlib.sha256(b"https://archive.example/mag-0042").digest()
        address = Draft(
            (Signal.from_bytes(Algorithm.URL, digest),),
            ("branded_propaganda",),
            removed,
            media=Media.DOCUMENT,
            severity=3,
            reference="link-0042",
        )
        self._add(callers, 5, address)

    def _recent(self, callers: Sequence[Actor], people: Sequence[User]) -> None:
        """Open cases of which some are late and some due soon, a pile, a note, and acts that wait for two persons."""
        db, random = self._db, self._random
        for days in (3.2, 2.9, 2.4, 1.4, 0.9, 0.5, 0.2, 0.02):
            self._at = self._before(days)
            self._dispute(callers, 2)
        # One member labels old pictures wrongly, and another disputes them all.
        self._at = self._before(0.1)
        for _ in range(28):
            id = self._add(callers, 7, replace(self._draft(1), labels=("recruitment",), severity=1))
            self._give(callers[2], id, OpinionDraft(Stance.DISPUTES, "wrong_label", _NOTES[3]))
        admin, reviewer = people[0].actor, people[1].actor
        self._at = self._before(0.01)
        db.rules = replace(db.rules, two_persons=True)
        waiting = self._open_cases()
        notes.add(db, reviewer, waiting[0].id, "I asked the contributor for the original; answer by Thursday.")
        for case in waiting[1:4]:
            cases.decide(db, reviewer, case.id, Decision.RETIRE, _REASONS_OF_DECISIONS[Decision.RETIRE])
        draft = BenignDraft((Signal(Algorithm.PDQ, _random_pdq(random)),), note="Countdown before a stream begins")
        benign.add(db, admin, draft)

    def _report(self, auditor: User) -> None:
        """Make a report of the last 90 days."""
        db = self._db
        first, last, member = (self._end - timedelta(days=DAYS)).date(), self._end.date(), None
        reports.start(db, auditor.actor, first, last, member, lambda report: ReportOut.from_domain(report).json_text())
        while reports.latest(db, auditor.actor, limit=1)[0].outcome is None:
            time.sleep(0.05)


def _hashed(photos: Sequence[Path], algorithms: Sequence[Algorithm]) -> list[tuple[tuple[Signal, ...], ...]]:
    """The signals of each photograph, and those of an altered copy."""
    pairs = []
    for photo, alteration in zip(photos, cycle(("JPEG 30", "half size", "watermark")), strict=False):
        with Image.open(photo) as picture:
            copy = ALTERATIONS[alteration].encode(picture)
        pairs.append(tuple(hash_picture(octets, algorithms).signals for octets in (photo.read_bytes(), copy)))
    return pairs


def _caller(db: HashDB, name: str, kind: MemberKind) -> Actor:
    contact = f"trust@{name.lower().replace(' ', '-')}.example"
    member = members.add(db, COMMAND_LINE, MemberDraft(name, kind, contact))
    scopes = frozenset({Scope.CONTRIBUTE, Scope.MATCH, Scope.FEED})
    return members.authenticate(db, members.issue_key(db, COMMAND_LINE, member.id, KeyDraft(scopes)).secret)


def _random_pdq(random: Random) -> int:
    """A value of PDQ with half of its bits set, as those of pictures are."""
    return sum(1 << bit for bit in random.sample(range(256), 128))


def _near(random: Random, value: int, bits: int) -> int:
    """A value that differs in about `bits` bits: in half of them from the set bits, in half from the others."""
    ones = [bit for bit in range(256) if value >> bit & 1]
    zeros = [bit for bit in range(256) if not value >> bit & 1]
    return value ^ sum(1 << bit for side in (ones, zeros) for bit in random.sample(side, min(bits // 2, len(side))))


def _shot(random: Random) -> list[_Hashed]:
    """The frames of a shot of one to six seconds."""
    first, quality = _random_pdq(random), random.randrange(62, 100)
    return [
        _Hashed(first if place == 0 else _near(random, first, 2), quality) for place in range(random.randrange(1, 7))
    ]


def _video(shots: Sequence[Sequence[_Hashed]], removed_at: datetime, reference: str, severity: int) -> Draft:
    """The draft of a video with these shots, whose frames are a second apart."""
    frames = tuple(
        Frame(float(at), (Signal(Algorithm.PDQ, value),), quality)
        for at, (value, quality) in enumerate(frame for shot in shots for frame in shot)
    )
    draft = _draft_of_file(Media.VIDEO, frames, removed_at, reference, severity)
    return replace(draft, duration=float(len(frames)))


def document_draft(
    pages: Sequence[tuple[int, int]], words: Sequence[int], removed_at: datetime, reference: str, severity: int
) -> Draft:
    """The draft of a document: the hash and the quality of each page, and the hash of each window of its words."""
    of_pages = (
        Frame(float(page), (Signal(Algorithm.PDQ, value),), quality, unit=Unit.PAGES)
        for page, (value, quality) in enumerate(pages, 1)
    )
    of_words = (
        Frame(LISTED_STEP * place, (Signal(Algorithm.SIMHASH256, value),), unit=Unit.WORDS, length=WINDOW)
        for place, value in enumerate(words)
    )
    media = Media.DOCUMENT if pages else Media.TEXT
    return _draft_of_file(media, (*of_pages, *of_words), removed_at, reference, severity)


def _draft_of_file(
    media: Media, frames: tuple[Frame, ...], removed_at: datetime, reference: str, severity: int
) -> Draft:
    """The draft of a file with frames; the reference stands for its bytes."""
    digest = Signal.from_bytes(Algorithm.SHA256, hashlib.sha256(reference.encode()).digest())
    return Draft(
        (digest,),
        ("branded_propaganda",),
        removed_at,
        media=media,
        severity=severity,
        reference=reference,
        frames=frames,
    )
