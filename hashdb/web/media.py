"""Uploaded pictures, videos and documents, as the views of the service hash them: at once, or by a job."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice, repeat
from typing import cast

from flask import Response, g, request

from hashdb.domain.accounts.members import Actor
from hashdb.domain.seeds import Seed
from hashdb.errors import TooManyAtOnce
from hashdb.hashing import Hashed, Mode
from hashdb.hashing.videos import INTERVAL
from hashdb.http_server import forms
from hashdb.http_server.forms import MediaForm
from hashdb.http_server.media import HashedFile, Hashing, hash_files, require_readable
from hashdb.http_server.uploads import Upload
from hashdb.service.accounts.members import authenticate
from hashdb.service.later import Advance, retry_for_a_minute
from hashdb.web.context import AppState, InMemoryRequest, app_state, hashdb
from hashdb.web.deferring import key_secret, prefers_async, respond

Finish = Callable[[Actor, Sequence[HashedFile]], str]
"""Makes the text of the answer from the actor and the hashes of each file."""


def read_form(*, metadata: bool = True) -> MediaForm:
    """The files of this request, with their metadata unless `metadata` is False.

    Raises MediaRefused, TextRefused, WrongContentType, TooLarge, VideoTooLarge, NoRoom, MalformedRequest, InvalidInput.
    """
    return forms.read_form(cast(InMemoryRequest, request), app_state().settings, metadata=metadata)


def hash_picture(picture: bytes, mode: Mode = Mode.PLAIN, seeds: Sequence[Seed] = ()) -> Hashed:
    """The hashes of a picture, with its secret views by these seeds if the mode has any.

    Raises TooManyAtOnce, UnreadablePicture with a fault.
    """
    caller: Actor = g.actor
    with hashdb().request_slots.hold(caller):
        (outcome,) = app_state().hashers.pool.hash([picture], hashdb().rules.algorithms, [mode], caller.name, seeds)
    require_readable([outcome])
    return cast(Hashed, outcome)


def answer_files(
    files: Sequence[Upload],
    finish: Finish,
    modes: Iterable[Mode] = repeat(Mode.PLAIN),
    *,
    interval: float = INTERVAL,
    status: int = 200,
) -> Response:
    """Hash each file in its mode, and answer with what `finish` makes of the hashes, or with the id of a job.

    `modes` has a mode for each file, in order. `interval` is in seconds: of a video, a frame at each is hashed.
    `status` is that of an answer without a job.

    Raises TooManyAtOnce, UnreadablePicture and VideoTooLarge with a fault for each file, TooLarge.
    """
    state, caller, secret = app_state(), cast(Actor, g.actor), key_secret()
    # `modes` may be endless.
    hash_all = partial(hash_files, _hashing(state, caller.name, interval), files, list(islice(modes, len(files))))
    if not prefers_async() and not any(file.has_parts for file in files):
        with state.db.request_slots.hold(caller):
            hashed = hash_all(lambda share: None)
        return Response(finish(caller, hashed), status, mimetype="application/json")

    def work(advance: Advance) -> str:
        try:
            hashed = hash_all(advance, retry_for_a_minute)
        finally:
            release(files)
        advance(1.0)
        # The hashing may have taken minutes: the key may have been revoked since.
        now_caller = authenticate(state.db, secret)
        return retry_for_a_minute(lambda: finish(now_caller, hashed))

    with given_to_thread(files):
        return respond(work, status)


@contextmanager
def given_to_thread(files: Sequence[Upload]) -> Iterator[None]:
    """Keep files for the thread that the block starts: it may outlive the request, whose end would delete them.

    The thread releases them.
    """
    for file in files:
        file.keep()
    try:
        yield
    except TooManyAtOnce:
        # No thread has taken them, or it has ended.
        release(files)
        raise


def release(files: Iterable[Upload]) -> None:
    """Delete files that were kept."""
    for file in files:
        file.release()


def hash_later(state: AppState, key: str, upload: Upload, mode: Mode, advance: Advance, interval: float) -> HashedFile:
    """The hashes of one file, made outside of its request.

    `key` is the name of the actor: actors take turns. `interval`: seconds of a video between two frames.

    Raises UnreadablePicture, VideoTooLarge, Unavailable, and what `advance` raises, which ends the hashing.
    """
    (hashed,) = hash_files(_hashing(state, key, interval), [upload], [mode], advance)
    return hashed


def _hashing(state: AppState, key: str, interval: float) -> Hashing:
    return Hashing(state.hashers, key, state.db.rules.algorithms, state.db.seeds_in_use(), interval)
