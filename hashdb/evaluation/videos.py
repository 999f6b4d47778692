"""An evaluation of videos: which copies of listed films are found, with which seconds, and what matches by mistake."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from math import ceil
from random import Random
from typing import Final, NamedTuple

from hashdb.domain.frames import Frame
from hashdb.domain.matching.matches import FrameDetails
from hashdb.domain.signals import Algorithm
from hashdb.evaluation.copies import COPIES, MARGIN_SECONDS, Copy, Form, Truth, Upload, make_upload
from hashdb.evaluation.films import LIMITS, Film, LoadedFilm, RecordedFilm, encode, times
from hashdb.evaluation.library import Library, worst_ends
from hashdb.evaluation.processes import run, with_state
from hashdb.evaluation.rules import Agreement, bag, compare
from hashdb.hashing import Mode
from hashdb.hashing.videos import INTERVAL, Video, hash_frames, to_frames

ALGORITHMS: Final = (Algorithm.PDQ, Algorithm.PHASH256)
"""The algorithms by which frames are searched."""
TOLERANCE: Final = 1.0
"""Seconds by which each end of a segment may be off."""
_PIECE: Final = 30.0
"""Seconds of the surrounding upload that are hashed at a time."""
_LONGEST: Final = 60.0
"""Seconds of a film from which copies are made."""


@dataclass(frozen=True)
class VideoScheme:
    """What is measured."""

    films: Sequence[Film]
    """The films that are listed."""
    around: Film
    """What surrounds a clip: it shares nothing with the films."""
    trials: int
    """How many clips are drawn, from the films in turn."""
    wholes: int
    """How many films are also copied whole."""
    interval: float
    """Seconds between two frames of a query."""
    copies: Sequence[Copy] = COPIES
    seed: int = 0


class VideoFrames(NamedTuple):
    """The hashed frames of a video, and its duration in seconds."""

    frames: Sequence[Frame]
    duration: float


class Outcome(NamedTuple):
    """What came of one copy."""

    trial: int
    copy: int
    """Its position in `VideoScheme.copies`."""
    parts: int
    """Stretches of the film in the copy."""
    found: int
    """How many of these stretches a segment overlaps."""
    exact: int
    """For how many of these stretches all four ends of a segment are right to `TOLERANCE` seconds."""
    off: float | None
    """The seconds by which the worst end of the nearest segment is off, of the stretch for which this is most.

    None if no stretch was found.
    """
    radius: int | None
    """The least radius of PDQ, in bits, at which the film matches."""
    others: int
    """Films of other groups that match: mistakes."""
    rules: Agreement
    """vPDQ's shares of agreeing frames."""


class VideoPair(NamedTuple):
    """Two different films, one as the query, and the least radius of PDQ, in bits, at which they match."""

    query: int
    listed: int
    radius: int | None


@dataclass(frozen=True)
class VideoEvaluation:
    """All measurements."""

    scheme: VideoScheme
    outcomes: Sequence[Outcome]
    pairs: Sequence[VideoPair]
    surrounding: int
    """Films that the surrounding upload matches by itself: mistakes."""
    values: int
    """Distinct values of the listed films."""
    seconds: float
    """The durations of the listed films together."""
    around: VideoFrames
    """The surrounding upload as a query."""
    first: tuple[VideoFrames, VideoFrames]
    """The first film as it is listed, and as a query."""


def hash_upload(octets: bytes, mode: Mode, interval: float) -> VideoFrames:
    """The frames of a video file, as a contribution or a query has them. Raises UnreadablePicture."""
    video = Video(BytesIO(octets), LIMITS, interval=interval)
    frames = list(hash_frames(video, ALGORITHMS, mode))
    return VideoFrames(to_frames(frames), video.duration)


class _ListedFilm(NamedTuple):
    """A film as it is contributed, and as a query."""

    stored: VideoFrames
    query: VideoFrames


class _Bench:
    """Makes copies, and matches them with the listed films; each process has one."""

    def __init__(self, scheme: VideoScheme, films: Sequence[_ListedFilm], around: VideoFrames) -> None:
        self.scheme, self._films, self._around = scheme, films, around
        self._library = Library([film.stored for film in films])
        self._bags = [bag(film.stored.frames) for film in films]

    def pairs(self, place: int) -> list[VideoPair]:
        """The film at a position as a query, with each listed film that shows other things."""
        films, query = self.scheme.films, self._films[place].query
        return [
            VideoPair(place, other, self._library.least_radius(query.frames, other + 1, query.duration))
            for other, film in enumerate(films)
            if film.group != films[place].group
        ]

    def trial(self, number: int) -> list[Outcome]:
        """Every copy of one clip, made and matched."""
        scheme, random = self.scheme, Random(f"{self.scheme.seed} {number}")
        place = number % len(scheme.films)
        film = scheme.films[place]
        longest = max((copy.seconds for copy in scheme.copies if copy.form is not Form.WHOLE), default=0.0)
        length = min(film.seconds, _LONGEST)
        start = random.uniform(0, max(0.0, length - longest))
        # A whole number: the frames of the surrounding upload keep their places.
        at = float(random.randint(1, max(1, int(self._around.duration - 2 * MARGIN_SECONDS) - 1)))
        clip = LoadedFilm(film, 0.0, length)
        around = LoadedFilm(scheme.around, at, min(scheme.around.seconds, at + 2 * MARGIN_SECONDS + longest))
        outcomes = []
        for position, copy in enumerate(scheme.copies):
            # Only the first films are copied whole, and a clip cannot be longer than the film.
            if number >= scheme.wholes if copy.form is Form.WHOLE else copy.seconds > length:
                continue
            upload = make_upload(copy, clip, start, around, at, f"{scheme.seed} {number}")
            hashed = hash_upload(upload.octets, Mode.TRANSFORMS, scheme.interval)
            outcomes.append(self._outcome(number, position, place, copy, upload, hashed, at))
        return outcomes

    def _outcome(
        self, trial: int, position: int, place: int, copy: Copy, upload: Upload, hashed: VideoFrames, at: float
    ) -> Outcome:
        """What came of a copy of the film at a place; if it is inside an upload, `at` is where it begins there."""
        truth, whole = upload.truth, hashed
        if copy.form is Form.INSIDE:
            # The clip has `MARGIN_SECONDS` of the upload on both sides; the upload goes on where they end.
            clip = hashed._replace(duration=upload.seconds)
            whole = put_inside(self._around, clip, at, at + 2 * MARGIN_SECONDS)
            truth = tuple(Truth((query[0] + at, query[1] + at), listed) for query, listed in upload.truth)
        matched = self._library.match(whole.frames, whole.duration)
        found, exact, off = judge(truth, matched.get(place + 1), copy)
        films = self.scheme.films
        others = sum(films[number - 1].group != films[place].group for number in matched)
        least = self._library.least_radius(hashed.frames, place + 1, hashed.duration)
        rules = compare(bag(whole.frames), self._bags[place])
        return Outcome(
            trial,
            position,
            parts=len(truth),
            found=found,
            exact=exact,
            off=off,
            radius=least,
            others=others,
            rules=rules,
        )


def _list_film(scheme: VideoScheme, film: Film) -> _ListedFilm:
    """The hashes of a film as it is contributed, and those of its first 60 seconds as a query."""
    octets = encode(film.play(times(0, min(film.seconds, _LONGEST))), crf=23)
    query = hash_upload(octets, Mode.TRANSFORMS, scheme.interval)
    whole = film.path.read_bytes() if isinstance(film, RecordedFilm) else octets
    return _ListedFilm(hash_upload(whole, Mode.BALANCED, INTERVAL), query)


def _hash_piece(scheme: VideoScheme, start: float) -> VideoFrames:
    """The hashes of a piece of the surrounding upload."""
    end = min(scheme.around.seconds, start + _PIECE)
    return hash_upload(encode(scheme.around.play(times(start, end)), crf=28), Mode.TRANSFORMS, scheme.interval)


def evaluate_videos(
    scheme: VideoScheme, processes: int, advance: Callable[[], object] = lambda: None
) -> VideoEvaluation:
    """Measure these films. `advance` is called `steps` times. Raises UnreadablePicture."""
    starts = [_PIECE * number for number in range(ceil(scheme.around.seconds / _PIECE))]
    each = partial(run, processes=processes, advance=advance)
    films = list(each(partial(_list_film, scheme), scheme.films))
    around = _joined(each(partial(_hash_piece, scheme), starts), starts, scheme.around.seconds)
    build = partial(_Bench, scheme, films, around)
    pairs = list(each(partial(with_state, _Bench.pairs), range(len(films)), build=build))
    outcomes = list(each(partial(with_state, _Bench.trial), range(scheme.trials), build=build))
    library = Library([film.stored for film in films])
    return VideoEvaluation(
        scheme,
        outcomes=[outcome for of_trial in outcomes for outcome in of_trial],
        pairs=[pair for of_film in pairs for pair in of_film],
        surrounding=len(library.match(*around)),
        values=library.values,
        seconds=sum(film.stored.duration for film in films),
        around=around,
        first=films[0],
    )


def steps(scheme: VideoScheme) -> int:
    """How often `evaluate_videos` calls `advance`."""
    return 2 * len(scheme.films) + ceil(scheme.around.seconds / _PIECE) + scheme.trials


def _joined(pieces: Iterable[VideoFrames], starts: Sequence[float], duration: float) -> VideoFrames:
    frames = [
        replace(frame, at=round(frame.at + start, 3))
        for (part, _), start in zip(pieces, starts, strict=True)
        for frame in part
    ]
    return VideoFrames(frames, duration)


def put_inside(around: VideoFrames, clip: VideoFrames, start: float, end: float) -> VideoFrames:
    """The frames of a clip in the place of those of an upload from one second to another."""
    later = start + clip.duration - end
    frames = [
        *(frame for frame in around.frames if frame.at < start),
        *(replace(frame, at=round(frame.at + start, 3)) for frame in clip.frames if frame.at < clip.duration - 1e-3),
        *(replace(frame, at=round(frame.at + later, 3)) for frame in around.frames if frame.at >= end),
    ]
    return VideoFrames(frames, around.duration + later)


def judge(truth: Sequence[Truth], details: FrameDetails | None, copy: Copy) -> tuple[int, int, float | None]:
    """The fields `found`, `exact` and `off` of an `Outcome`, from the matched segments and what the copy shows."""
    segments = details.segments if details is not None else ()
    found = exact = 0
    worst: float | None = None
    for query, listed in truth:
        if off := worst_ends(segments, query, listed):
            found += 1
            exact += min(off) <= TOLERANCE and not copy.reverse
            worst = max(worst or 0.0, min(off))
    return found, exact, worst
