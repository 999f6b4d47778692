"""A film in the demonstration: a part of it is found within another film, and a still of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hashdb.cli.demo_texts import Contribute, MatchAll
from hashdb.cli.matching.formats import format_time
from hashdb.evaluation.copies import MIRRORED_AND_CAPTIONED, make_upload
from hashdb.evaluation.films import PannedFilm, can_encode, encode, times
from hashdb.hashing.decoding import NO_EXTRA

_FILM_SECONDS, _CLIP_AT, _STILL_AT = 24.0, 9.0, 5.0
"""How long the film is, and where in it the clip begins and the still is; in seconds."""
_FILM_SIZE = (320, 180)
_TOLERANCE_SECONDS = 1.0


class FilmTrial(NamedTuple):
    """A file that shows a part of the listed film, and what was found."""

    file: str
    shows: str
    """The part of the film that the file shows, in words."""
    expected: int
    """The film's contribution."""
    query: tuple[float, float] | None
    """The seconds of the file that show the film; None for a picture."""
    listed: tuple[float, float]
    """The seconds of the film that it shows."""
    found: Mapping[str, Any] | None
    """The nearest match, in JSON as the API returns it, or None."""

    @property
    def held(self) -> bool:
        """Whether the film is found, with the right times: they may be wrong by a second."""
        if self.found is None or self.found["contribution"] != self.expected:
            return False
        if self.query is None:
            return any(abs(at - self.listed[0]) <= _TOLERANCE_SECONDS for at in self.found.get("at", ()))
        segment, *_ = self.found.get("segments") or [None]
        return segment is not None and all(
            abs(at - right) <= _TOLERANCE_SECONDS
            for at, right in zip((*segment["query"], *segment["listed"]), (*self.query, *self.listed), strict=True)
        )

    @property
    def description(self) -> str:
        """What was found, in words."""
        if self.found is None:
            return "no match"
        for segment in self.found.get("segments", ()):
            (start, end), (begin, stop) = segment["query"], segment["listed"]
            return f"{format_time(start)}–{format_time(end)} is {format_time(begin)}–{format_time(stop)} of the film"
        times = [format_time(at) for at in self.found.get("at", ())]
        return f"the film at {', '.join(times)}" if times else "no time"


def try_film(
    home: Path, photos: Sequence[Path], contribute: Contribute, match: MatchAll, echo: Callable[[str], object]
) -> list[FilmTrial]:
    """Contribute a film over some photographs, and match a part of it within another film, and a still of it.

    Nothing is tried where the extra for videos is not installed.
    """
    if not can_encode():
        echo(f"No film is tried: {NO_EXTRA}")
        return []
    half = len(photos) // 2
    film = PannedFilm("film", tuple(photos[:half]), _FILM_SECONDS, seed="demo", size=_FILM_SIZE)
    other = PannedFilm("another", tuple(photos[half:]), _FILM_SECONDS, seed="demo", size=_FILM_SIZE)
    listed, upload, still = (home / name for name in ("film.mp4", "upload.mp4", "still.jpg"))
    listed.write_bytes(encode(film.play(times(0, film.seconds))))
    (id,) = contribute([listed])
    echo(f"contributed   a film of {film.seconds:.0f} seconds by `hashdb contribute film.mp4`")
    made = make_upload(MIRRORED_AND_CAPTIONED, film, start=_CLIP_AT, around=other, at=0.0)
    upload.write_bytes(made.octets)
    next(film.play([_STILL_AT])).save(still, quality=85)
    results = match("--transforms", str(upload), str(still))
    nearest = [result["matches"][0] if result["matches"] else None for result in results]
    # The seconds of the upload that show the film, and the seconds of the film that they show.
    ((query, part),) = made.truth
    shows = "10 s of it, mirrored and captioned, inside another film"
    return [
        FilmTrial(upload.name, shows, id, query, listed=part, found=nearest[0]),
        FilmTrial(still.name, "a still of it", id, None, listed=(_STILL_AT, _STILL_AT), found=nearest[1]),
    ]
