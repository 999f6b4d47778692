"""Uploaded pictures and videos: hashed in separate processes, and never stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice, repeat
from typing import NamedTuple, cast

from flask import Response, g, request

from hashdb.domain.accounts.members import Actor
from hashdb.domain.contributions import Draft, Media
from hashdb.domain.frames import FRAMES_A_REQUEST, Frame
from hashdb.domain.matching.matches import Query
from hashdb.domain.seeds import Seed
from hashdb.domain.signatures import WHOLE
from hashdb.errors import (
    Fault,
    MalformedRequest,
    MediaRefused,
    TooLarge,
    TooManyAtOnce,
    UnreadablePicture,
    VideoTooLarge,
    WrongContentType,
    reject,
)
from hashdb.hashing import Hashed, Mode
from hashdb.hashing.videos import INTERVAL, QUERY_INTERVAL, digests, to_frames
from hashdb.service.accounts.members import authenticate
from hashdb.service.later import Advance, patiently
from hashdb.settings import Settings
from hashdb.web.context import AppState, InMemoryRequest, app_state, hashdb, reading_body
from hashdb.web.deferring import prefers_async, respond, secret
from hashdb.web.uploads import Room, Upload
from hashdb.wire import path
from hashdb.wire.files import FILES_A_REQUEST

METADATA_BYTES = 1024 * 1024
_PARTS = 64
_MALFORMED = "the body is not multipart/form-data, or is cut short"


class HashedFile(NamedTuple):
    """The hashes of a file: of a picture; or the digests of a video, and its frames."""

    hashed: Hashed
    frames: tuple[Frame, ...] = ()
    duration: float | None = None
    incomplete: str | None = None
    """A sentence that says how much of a video could be read, if that is not all."""

    def in_draft(self, draft: Draft) -> Draft:
        """The draft with the signatures of a picture, or with what it has of a video."""
        if self.duration is None:
            return replace(draft, signatures=dict(self.hashed.signatures).get(WHOLE, ()))
        media = Media.VIDEO if draft.media is Media.IMAGE else draft.media
        return replace(draft, media=media, frames=self.frames, duration=self.duration)

    def to_query(self) -> Query:
        """The query for what matches it."""
        return Query(
            self.hashed.signals,
            transforms=dict(self.hashed.transforms),
            frames=self.frames,
            duration=self.duration,
            signatures=dict(self.hashed.signatures),
        )


Finish = Callable[[Actor, Sequence[HashedFile]], str]
"""Makes the text of an answer of the hashes of each file."""


@dataclass(frozen=True, slots=True)
class MediaForm:
    """The parts of a multipart form: the files, and the metadata as JSON text."""

    files: tuple[Upload, ...]
    metadata: str


def read_form(*, metadata: bool = True) -> MediaForm:
    """The pictures and videos of this request, with their metadata unless `metadata` is False.

    Raises MediaRefused, WrongContentType, TooLarge, VideoTooLarge, NoRoom, MalformedRequest, InvalidInput.
    """
    settings = _require_media_form()
    make_room(settings)
    with reading_body(_MALFORMED):
        files = request.files.getlist("file")
    if not request.files and not request.form:
        # RFC 2046 requires at least one part; Werkzeug reads any other text as the preamble.
        raise MalformedRequest(_MALFORMED)
    if len(files) > FILES_A_REQUEST:
        raise TooLarge("the files of a request", FILES_A_REQUEST)
    reject(_faults(metadata))
    uploads = tuple(cast(Upload, file.stream) for file in files)
    for upload in uploads:
        if not upload.is_film:
            _check_size(upload, settings.media_max_bytes)
    return MediaForm(uploads, _metadata())


def make_room(settings: Settings) -> None:
    """Let this request have videos beside its pictures. Raises VideoTooLarge."""
    most = settings.media_max_request + settings.video_max_bytes
    if (request.content_length or 0) > most:
        raise VideoTooLarge(f"the request has more than {most:,} bytes")
    request.max_content_length = most
    cast(InMemoryRequest, request).room = Room(settings.media_max_request, settings.video_max_bytes)


def read_file(*fields: str) -> tuple[str, Upload]:
    """The one file of this request, which may be a video, and its form field, which has one of these names.

    Raises MediaRefused, WrongContentType, TooLarge, VideoTooLarge, NoRoom, MalformedRequest.
    """
    make_room(_require_media_form())
    return _read_file(*fields)


def _read_file(*fields: str) -> tuple[str, Upload]:
    with reading_body(_MALFORMED):
        files = list(request.files.items(multi=True))
    if len(files) != 1:
        raise MalformedRequest("the request must be a form with one file")
    ((name, file),) = files
    if name not in fields:
        raise MalformedRequest(f"the form field of the file must be named {' or '.join(fields)}")
    return name, cast(Upload, file.stream)


def picture_of(upload: Upload) -> bytes:
    """The bytes of a picture. Raises TooLarge, VideoTooLarge."""
    _check_size(upload, app_state().settings.media_max_bytes)
    return upload.stream.read()


def _check_size(upload: Upload, most: int) -> None:
    if upload.size <= most:
        return
    if upload.is_video:
        raise VideoTooLarge(f"the animation has more than {most:,} bytes")
    raise TooLarge("the bytes of a picture", most)


def _require_media_form() -> Settings:
    """The settings. Sets the limits of this request for a form with pictures. Raises MediaRefused, WrongContentType."""
    settings = app_state().settings
    if not settings.accept_media:
        raise MediaRefused()
    if request.mimetype != "multipart/form-data":
        raise WrongContentType("multipart/form-data")
    request.max_content_length = settings.media_max_request
    request.max_form_memory_size = settings.media_max_request
    request.max_form_parts = _PARTS
    return settings


def hash_pictures(
    files: Sequence[bytes], modes: Iterable[Mode] = repeat(Mode.PLAIN), seeds: Sequence[Seed] = ()
) -> list[Hashed]:
    """The hashes of each picture, in its mode, and with the views of the seeds.

    Raises TooManyAtOnce, UnreadablePicture with a fault for each file.
    """
    caller: Actor = g.actor
    with hashdb().places.place(caller):
        outcomes = app_state().pool.hash(files, hashdb().rules.algorithms, modes, caller.name, seeds)
    _require_readable(outcomes)
    return [outcome for outcome in outcomes if isinstance(outcome, Hashed)]


def answer_files(
    files: Sequence[Upload],
    finish: Finish,
    modes: Iterable[Mode] = repeat(Mode.PLAIN),
    *,
    interval: float = INTERVAL,
    status: int = 200,
) -> Response:
    """Hash each file in its mode, and answer with what `finish` makes of the hashes, or with the id of a job.

    Raises TooManyAtOnce, UnreadablePicture and VideoTooLarge with a fault for each file, TooLarge.
    """
    state, caller, own = app_state(), cast(Actor, g.actor), secret()
    hash_all = partial(_hash_files, state, caller.name, files, list(islice(modes, len(files))), interval)
    if not prefers_async() and not any(file.is_video for file in files):
        with state.db.places.place(caller):
            hashed = hash_all(_ignore)
        return Response(finish(caller, hashed), status, mimetype="application/json")

    def work(advance: Advance) -> str:
        try:
            hashed = hash_all(advance, patient=True)
        finally:
            for file in files:
                file.release()
        advance(1.0)
        # It may have taken minutes: the key may have been revoked since.
        now_caller = authenticate(state.db, own)
        return patiently(lambda: finish(now_caller, hashed))

    for file in files:
        file.keep()
    try:
        return respond(work, status)
    except TooManyAtOnce:
        # No thread has taken them, or it has ended.
        for file in files:
            file.release()
        raise


def hash_later(state: AppState, key: str, upload: Upload, mode: Mode, advance: Advance) -> HashedFile:
    """The hashes of one file to match, made outside of its request; an error that `advance` raises ends that.

    Raises UnreadablePicture, VideoTooLarge, Unavailable.
    """
    (hashed,) = _hash_files(state, key, [upload], [mode], QUERY_INTERVAL, advance)
    return hashed


def _ignore(_: float) -> None:
    pass


def _hash_files(
    state: AppState,
    key: str,
    files: Sequence[Upload],
    modes: Sequence[Mode],
    interval: float,
    advance: Advance,
    *,
    patient: bool = False,
) -> list[HashedFile]:
    """The hashes of each file, in order: of the pictures first, then of one video after the other.

    With `patient` it waits for a place in the queue of pictures.
    """
    are_videos = [file.is_video for file in files]
    pictures = [place for place, is_video in enumerate(are_videos) if not is_video]
    videos = [place for place, is_video in enumerate(are_videos) if is_video]
    outcomes: dict[int, HashedFile | UnreadablePicture] = {}
    if pictures:
        octets = [files[place].stream.read() for place in pictures]
        picture_modes = [modes[place] for place in pictures]
        hash_pictures = partial(
            state.pool.hash, octets, state.db.rules.algorithms, picture_modes, key, state.db.seeds.in_use()
        )
        hashed = patiently(hash_pictures) if patient else hash_pictures()
        for place, picture in zip(pictures, hashed, strict=True):
            outcomes[place] = HashedFile(picture) if isinstance(picture, Hashed) else picture
    frames = 0
    for done, place in enumerate(videos):
        report = partial(_advance_part, advance, done, len(videos))
        outcomes[place] = outcome = _hash_video(state, key, files[place], modes[place], interval, report)
        if isinstance(outcome, VideoTooLarge):
            # The others of this request are not tried: they may take as long.
            break
        frames += len(outcome.frames) if isinstance(outcome, HashedFile) else 0
        if frames > FRAMES_A_REQUEST:
            raise TooLarge("the frames of the videos of a request", FRAMES_A_REQUEST)
    _require_readable([outcomes.get(place) for place in range(len(files))])
    return [outcome for _, outcome in sorted(outcomes.items()) if isinstance(outcome, HashedFile)]


def _advance_part(advance: Advance, done: int, count: int, share: float) -> None:
    advance((done + share) / count)


def _hash_video(
    state: AppState, key: str, upload: Upload, mode: Mode, interval: float, advance: Advance
) -> HashedFile | UnreadablePicture:
    algorithms = state.db.rules.algorithms
    try:
        with upload.open() as file:
            own = digests(file)
            video = state.videos.hash(file, algorithms, mode, key, interval=interval, advance=advance)
    except UnreadablePicture as error:
        return error.with_traceback(None)
    return HashedFile(Hashed(own), to_frames(video.frames), video.duration, video.incomplete)


def _require_readable(outcomes: Sequence[object]) -> None:
    """Raise UnreadablePicture, or VideoTooLarge if a video is too large, with a fault for each such file."""
    errors = {
        f"file[{position}]": outcome
        for position, outcome in enumerate(outcomes)
        if isinstance(outcome, UnreadablePicture)
    }
    if not errors:
        return
    faults = tuple(Fault(at, error.reason) for at, error in errors.items())
    kind = VideoTooLarge if any(isinstance(error, VideoTooLarge) for error in errors.values()) else UnreadablePicture
    reason = str(faults[0]) if len(faults) == 1 else f"{len(faults)} files cannot be hashed, the first: {faults[0]}"
    raise kind(reason, faults)


def _faults(metadata: bool) -> list[Fault]:
    faults = []
    fields, files = request.form, request.files
    if "file" in fields:
        faults.append(Fault("file", "must be files, each with a file name"))
    elif not files.getlist("file"):
        faults.append(Fault("file", "is required: send one or more pictures or videos"))
    count = len(fields.getlist("metadata")) + len(files.getlist("metadata"))
    if metadata and count == 0:
        faults.append(Fault("metadata", "is required: a JSON object, or a list of them"))
    if metadata and count > 1:
        faults.append(Fault("metadata", "is given twice"))
    known = {"file", "metadata"} if metadata else {"file"}
    # The name of a part is None if it has none.
    unknown = {name or "" for name in (*fields, *files)} - known
    faults += [Fault(path([name]), "is not a field of this request") for name in sorted(unknown)]
    return faults


def _metadata() -> str:
    """The metadata of the files. curl sends it as a file part if it is read from a file."""
    part = request.files.get("metadata")
    text = request.form.get("metadata", "") if part is None else part.stream.read().decode("utf-8", "replace")
    if len(text) > METADATA_BYTES:
        raise TooLarge("the characters of the metadata", METADATA_BYTES)
    if "\ufffd" in text:
        raise MalformedRequest("the metadata is not JSON in UTF-8")
    return text
