"""An evaluation of texts: which copies and passages of listed texts are found, and what matches by mistake."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Final, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from hashdb.domain.frames import Frame, Unit
from hashdb.domain.matching.matches import FrameDetails
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import UnreadablePicture
from hashdb.evaluation.library import WIDEST_OF_TEXTS, Library, Stretch, worst_ends
from hashdb.evaluation.passages import COPIES, Pieces, TextCopy, TextForm, pieces, take_words
from hashdb.evaluation.processes import run, with_state
from hashdb.hashing.encodings import decode
from hashdb.hashing.texts import QUERY_STEP, WINDOW, hash_words, shingles, simhash, split_words
from hashdb.index.vectors import Words, pack

TRIALS: Final = 500
"""Passages that are drawn at most, from texts in turn."""
FEWEST: Final = 2 * WINDOW
"""Words of the shortest text that is measured."""
AROUND: Final = 3_000
"""Words of the upload around a passage."""
MOST_CHARACTERS: Final = 24_000
"""Characters of a text that are measured, the first ones."""
TOLERANCE: Final = 100
"""Words by which each end of a segment may be off."""
SHARED_WORDS: Final = 20
"""Words in a row that two texts have in common from which they share a passage: a match of these is right."""
_ALIKE: Final = 0.2
"""The share of the words of a segment, in pairs, that both texts have, from which one is the other, rewritten."""
_NAMES: Final = {"HIRAGANA": "CJK", "KATAKANA": "CJK"}  # scripts that one text mixes, by the first word of a name


@dataclass(frozen=True)
class Text:
    """A text of at least `FEWEST` words."""

    name: str
    written: str

    @classmethod
    def read(cls, path: Path, folder: Path) -> Self:
        """Read a file of plain text. Raises UnreadablePicture if it cannot be measured, and OSError."""
        text = cls(str(path.relative_to(folder)), decode(path.read_bytes())[:MOST_CHARACTERS].strip())
        if len(text.words) < FEWEST:
            raise UnreadablePicture(f"it has {len(text.words)} words, and {FEWEST} are needed")
        if not hash_words(text.words):
            raise UnreadablePicture("its words repeat too often to be hashed")
        return text

    @cached_property
    def words(self) -> list[str]:
        """The words that are hashed."""
        return split_words(self.written)

    @cached_property
    def pieces(self) -> Pieces:
        """The words as they are written."""
        return pieces(self.written)

    @cached_property
    def counts(self) -> list[int]:
        """How many words each of the pieces is."""
        return [len(split_words(piece)) for piece in self.pieces]

    @cached_property
    def script(self) -> str:
        """The script of most of its letters, as Unicode names it: Latin, Cyrillic, Arabic …"""
        names = Counter(unicodedata.name(char, "?").partition(" ")[0] for char in self.written[::7] if char.isalpha())
        name = names.most_common(1)[0][0] if names else "?"
        return "Chinese, Japanese" if _NAMES.get(name, name) == "CJK" else name.capitalize()


@dataclass(frozen=True)
class TextScheme:
    """What is measured."""

    listed: Sequence[Text]
    around: Sequence[Text]
    """What surrounds a passage: texts that are not listed."""
    trials: int
    """How many passages are drawn, from the listed texts in turn."""
    copies: Sequence[TextCopy] = COPIES
    seed: int = 0


class TextOutcome(NamedTuple):
    """What came of one copy."""

    trial: int
    copy: int
    """Its position in `TextScheme.copies`."""
    script: str
    found: bool
    """Whether a segment overlaps the passage, in the query and in the listed text."""
    exact: bool
    """Whether all four ends are right to `TOLERANCE` words."""
    radius: int | None
    """The least radius in bits at which the text matches, if the passage is inside others; None if there is none."""
    others: int
    """Other listed texts that match and share no passage with the query, word by word or rewritten: mistakes."""
    digest: bool
    """Whether the SHA-256 of the upload is that of the listed text."""
    whole: bool
    """Whether one SimHash of the whole upload is within the radius of that of the whole listed text."""


class TextPair(NamedTuple):
    """Two texts, one as the query, the least radius in bits at which they match, and the longest run of same words."""

    query: int
    listed: int
    radius: int
    run: int
    alike: float
    """The share of the words, in pairs, of the two nearest windows that both have."""

    @property
    def shares(self) -> bool:
        """Whether one text has a passage of the other, word by word or rewritten."""
        return self.run >= SHARED_WORDS or self.alike >= _ALIKE


@dataclass(frozen=True)
class TextEvaluation:
    """All measurements."""

    scheme: TextScheme
    outcomes: Sequence[TextOutcome]
    pairs: Sequence[TextPair]
    """Pairs of different texts that match at a radius up to the widest."""
    windows: int
    """How many windows the listed texts have."""


class _Bench:
    """Makes copies, and matches them with the listed texts."""

    def __init__(self, scheme: TextScheme) -> None:
        self.scheme = scheme
        windows = [hash_words(text.words) for text in scheme.listed]
        # The library lists texts under the numbers from 1 on.
        self._library = Library([(frames, None) for frames in windows], texts=True)
        self._whole = [simhash(text.words) for text in scheme.listed]
        self._digests = [_digest(text.written) for text in scheme.listed]
        self._windows = _Windows(windows)

    def pairs(self, place: int) -> list[TextPair]:
        """The listed text at a position as a query, with each other listed text that it matches at some radius."""
        words = self.scheme.listed[place].words
        frames = hash_words(words, step=QUERY_STEP)
        pairs = []
        for other, (at, listed_at) in self._windows.near(frames).items():
            if other != place and (radius := self._library.least_radius(frames, other + 1)) is not None:
                theirs = self.scheme.listed[other].words
                alike = resemblance(words[at : at + WINDOW], theirs[listed_at : listed_at + WINDOW])
                pairs.append(TextPair(place, other, radius, longest_run(words, theirs), alike))
        return pairs

    def trial(self, number: int) -> list[TextOutcome]:
        """Every copy of one passage."""
        scheme, random = self.scheme, Random(f"{self.scheme.seed} {number}")
        place = number % len(scheme.listed)
        text = scheme.listed[place]
        similar = [other for other in scheme.around if other.script == text.script] or scheme.around
        other_words = pieces("\n".join(other.written for other in random.sample(similar, min(len(similar), 12))))
        # The last piece from which 300 words are left.
        latest = np.searchsorted(np.cumsum(text.counts), max(0, sum(text.counts) - 300))
        start = random.randint(0, int(latest))
        return [
            self._try(number, position, place, copy, start, other_words) for position, copy in enumerate(scheme.copies)
        ]

    def _try(self, trial: int, position: int, place: int, copy: TextCopy, start: int, around: Pieces) -> TextOutcome:
        """Make and match a copy of the listed text at `place`, from its piece `start` on.

        `position` is that of `copy` in the scheme; `around` has the words of other texts.
        """
        text, random = self.scheme.listed[place], Random(f"{self.scheme.seed} {trial} {position}")
        start = start if copy.words else 0
        passage = take_words(text.pieces, text.counts, start, copy.words or len(text.written))
        upload = changed = copy.alter(passage, random, around)
        before = 0
        if copy.form is TextForm.INSIDE:
            at = random.randint(len(around) // 10, len(around) // 2) if len(around) > 20 else 0
            head = "".join(around[max(0, at - AROUND // 2) : at])
            upload = f"{head}\n{changed}\n{''.join(around[at : at + AROUND // 2])}"
            before = len(split_words(head))
        words = split_words(upload)
        first = sum(text.counts[:start])
        listed = first, first + sum(text.counts[start : start + len(passage)])
        frames = hash_words(words, step=QUERY_STEP)
        matched = self._library.match(frames)
        found, exact = judge(matched.get(place + 1), (before, before + len(split_words(changed))), listed)
        whole, of_listed = simhash(words), self._whole[place]
        others = sum(not self._shares(words, id, details) for id, details in matched.items() if id != place + 1)
        return TextOutcome(
            trial,
            position,
            text.script,
            found,
            exact,
            radius=self._library.least_radius(frames, place + 1) if copy.form is TextForm.INSIDE else None,
            others=others,
            digest=_digest(upload) == self._digests[place],
            whole=_are_near(whole, of_listed),
        )

    def _shares(self, words: Sequence[str], id: int, details: FrameDetails) -> bool:
        """Whether an upload has a passage of a listed text that it matches, word by word or rewritten."""
        theirs = self.scheme.listed[id - 1].words
        return longest_run(words, theirs) >= SHARED_WORDS or any(
            resemblance(words[_slice(segment.query)], theirs[_slice(segment.listed)]) >= _ALIKE
            for segment in details.segments
        )


class _Windows:
    """The windows of all listed texts, for a first look at what may match."""

    def __init__(self, texts: Sequence[Sequence[Frame]]) -> None:
        counts = [len(frames) for frames in texts]
        # Of each window: the position of its text, its first word, and its value in a column of words.
        self._text = np.repeat(np.arange(len(texts)), counts)
        self._at = np.array([int(frame.at) for frames in texts for frame in frames])
        self._columns = np.ascontiguousarray(_values([frame for frames in texts for frame in frames]).T)

    def near(self, frames: Sequence[Frame]) -> dict[int, tuple[int, int]]:
        """For each listed text with two windows near two of the query: where the nearest two begin (query, text)."""
        queries: list[NDArray[np.int64]] = []
        windows: list[NDArray[np.int64]] = []
        distances: list[NDArray[np.uint16]] = []
        for place, query in enumerate(_values(frames)):
            apart = np.zeros(self._columns.shape[1], np.uint16)
            for values, word in zip(self._columns, query, strict=True):
                apart += np.bitwise_count(values ^ word)
            (hits,) = np.nonzero(apart <= WIDEST_OF_TEXTS)
            queries.append(np.full(len(hits), place))
            windows.append(hits)
            distances.append(apart[hits])
        query_at, window, distance = np.concatenate(queries), np.concatenate(windows), np.concatenate(distances)
        nearest_words: dict[int, tuple[int, int]] = {}
        for text in np.unique(self._text[window]):
            of_text = np.flatnonzero(self._text[window] == text)
            if min(len(np.unique(query_at[of_text])), len(np.unique(window[of_text]))) >= 2:
                nearest = of_text[distance[of_text].argmin()]
                nearest_words[int(text)] = int(frames[query_at[nearest]].at), int(self._at[window[nearest]])
        return nearest_words


def _values(frames: Sequence[Frame]) -> Words:
    return pack([frame.signals[0].value for frame in frames], Algorithm.SIMHASH256.bits)


def _are_near(first: Signal | None, second: Signal | None) -> bool:
    return first is not None and second is not None and first.distance(second) <= Algorithm.SIMHASH256.radius


def _digest(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def judge(details: FrameDetails | None, query: Stretch, listed: Stretch) -> tuple[bool, bool]:
    """Whether a segment overlaps the passage in both texts, and whether its ends are right to `TOLERANCE` words."""
    segments = [] if details is None else [segment for segment in details.segments if segment.unit is Unit.WORDS]
    errors = worst_ends(segments, query, listed)
    return bool(errors), bool(errors) and min(errors) <= TOLERANCE


def _slice(stretch: Stretch) -> slice:
    return slice(*map(int, stretch))


def resemblance(first: Sequence[str], second: Sequence[str]) -> float:
    """The share of the different shingles of two texts, given as words, that both have, 0 to 1."""
    of_first, of_second = set(shingles(first).tolist()), set(shingles(second).tolist())
    return len(of_first & of_second) / max(1, len(of_first | of_second))


def longest_run(first: Sequence[str], second: Sequence[str]) -> int:
    """How many words in a row two texts have in common at most."""

    def share_run(length: int) -> bool:
        runs = set(_runs(first, length))
        return any(run in runs for run in _runs(second, length))

    low, high = 0, 1
    while share_run(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if share_run(middle) else (low, middle)
    return low


def _runs(words: Sequence[str], length: int) -> Iterator[tuple[str, ...]]:
    return (tuple(words[place : place + length]) for place in range(len(words) - length + 1))


def split_texts(texts: Sequence[Text], seed: int) -> tuple[list[Text], list[Text]]:
    """The texts that are listed, and every fourth one of each script, which surrounds passages; drawn by the seed."""
    listed: list[Text] = []
    around: list[Text] = []
    seen = Counter[str]()
    for text in Random(seed).sample(texts, len(texts)):
        seen[text.script] += 1
        (around if seen[text.script] % 4 == 2 else listed).append(text)
    return listed, around


def evaluate_texts(scheme: TextScheme, processes: int, advance: Callable[[], object] = lambda: None) -> TextEvaluation:
    """Measure these texts. `advance` is called `steps` times."""
    # Each process builds one `_Bench`; `with_state` calls its method with an item.
    each = partial(run, processes=processes, advance=advance, build=partial(_Bench, scheme))
    pairs = list(each(partial(with_state, _Bench.pairs), range(len(scheme.listed))))
    outcomes = list(each(partial(with_state, _Bench.trial), range(scheme.trials)))
    return TextEvaluation(
        scheme,
        outcomes=[outcome for of_trial in outcomes for outcome in of_trial],
        pairs=[pair for of_text in pairs for pair in of_text],
        windows=sum(len(hash_words(text.words)) for text in scheme.listed),
    )


def steps(scheme: TextScheme) -> int:
    """How often `evaluate_texts` calls `advance`."""
    return len(scheme.listed) + scheme.trials
