"""/v1/matches and /v1/signals, answered from the local copy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from threading import BoundedSemaphore

from hashdb.errors import HashingBusy, reject_field
from hashdb.hashing import Mode
from hashdb.hashing.videos import INTERVAL, QUERY_INTERVAL
from hashdb.http_server.bodies import read_json, read_query
from hashdb.http_server.forms import InMemoryRequest, read_form
from hashdb.http_server.media import HashedFile, Hashing, hash_files, pictures_text, with_hashes
from hashdb.http_server.replies import Reply, model_reply
from hashdb.http_server.uploads import Upload
from hashdb.sidecar.state import SidecarState
from hashdb.wire.accounts import MeOut
from hashdb.wire.matching import answer_text
from hashdb.wire.pages import MatchesQuery, MediaMatchesQuery, SignalsQuery
from hashdb.wire.sidecar import read_remembering

LARGE_BODY = 16 * 1024
"""A request with a larger body, in bytes, is a batch: batches of a process run one after the other."""
_MAX_VIDEO_REQUESTS = 2
"""The most requests with videos or documents that a process handles at once: other threads stay free for matches."""
_VIDEO_RETRY_AFTER = 10
"""Seconds after which a client may repeat a rejected request with videos or documents."""
_VIDEO_REQUESTS = BoundedSemaphore(_MAX_VIDEO_REQUESTS)


def match_plain(state: SidecarState, text: bytes) -> bytes:
    """The answer to the body of a request to match. Its uploads are remembered, if it asks for that.

    Raises MalformedRequest, InvalidInput, TooLarge, CopyNotReady, CopyNotApproved.
    """
    # The turn covers reading and writing the JSON as well, because both block all other threads. All batches have one
    # key, so they run in the order of their arrival.
    with state.batches.turn("") if len(text) > LARGE_BODY else nullcontext():
        queries, uploads = read_remembering(text, state.validation_context())
        if uploads:
            # Before the match, so that no contribution is missed: look-back matches the uploads with each contribution
            # that arrives after the match has read the copy.
            state.index.remember(uploads)
        return answer_text(state.match(queries)).encode()


def match(state: SidecarState, request: InMemoryRequest) -> Reply:
    """Find contributions that match items."""
    _reject_quarantined(read_query(request, MatchesQuery, state.validation_context()))
    return Reply(match_plain(state, read_json(request, state.settings, may_have_frames=True)))


def match_media(state: SidecarState, request: InMemoryRequest) -> Reply:
    """Find contributions that match pictures, videos and documents, each hashed in a sandbox and never stored."""
    params = read_query(request, MediaMatchesQuery, state.validation_context())
    _reject_quarantined(params)
    files = read_form(request, state.settings, metadata=False).files
    mode = Mode.TRANSFORMS if params.transforms else Mode.PLAIN
    hashed = hash_uploads(state, files, [mode] * len(files), QUERY_INTERVAL)
    answer = state.match([file.to_query() for file in hashed])
    return Reply(answer_text(with_hashes(answer, hashed)).encode())


def hash_media(state: SidecarState, request: InMemoryRequest) -> Reply:
    """Hash pictures, videos and documents, and store nothing."""
    params = read_query(request, SignalsQuery, state.validation_context())
    files = read_form(request, state.settings, metadata=False).files
    mode = Mode.TRANSFORMS if params.transforms else Mode.PLAIN
    modes = [Mode.PLAIN if file.has_parts else mode for file in files]
    return Reply(pictures_text(hash_uploads(state, files, modes, INTERVAL)).encode())


def show_me(state: SidecarState, request: InMemoryRequest) -> Reply:
    """The member and the key of the sync, and what the service accepts, as of the last sync.

    Only a Unix socket gets the seeds of secret views: every user of the machine can reach a loopback address.
    """
    me = state.copy_state().me
    if not state.on_unix_socket:
        me = MeOut.build(**{name: getattr(me, name) for name in me.model_fields_set - {"secret_views"}})
    return model_reply(me)


def hash_uploads(
    state: SidecarState, files: Sequence[Upload], modes: Sequence[Mode], interval: float
) -> list[HashedFile]:
    """The hashes of each file, in its mode. `interval` is the seconds between two frames of a video that are hashed.

    Raises what `hash_files` raises, HashingBusy and CopyNotReady.
    """
    copy = state.copy_state()
    # One key for all requests, since the sidecar does not know who sends them.
    hashing = Hashing(state.hashers, key="", algorithms=copy.rules.algorithms, seeds=copy.seeds, interval=interval)
    with _video_request() if any(file.has_parts for file in files) else nullcontext():
        return hash_files(hashing, files, modes, lambda share: None)


@contextmanager
def _video_request() -> Iterator[None]:
    """Count a request with videos or documents for the block. Raises HashingBusy if there are too many."""
    if not _VIDEO_REQUESTS.acquire(blocking=False):
        raise HashingBusy(f"{_MAX_VIDEO_REQUESTS} requests with videos at a time", _VIDEO_RETRY_AFTER)
    try:
        yield
    finally:
        _VIDEO_REQUESTS.release()


def _reject_quarantined(params: MatchesQuery) -> None:
    """Raise InvalidInput if a request wants quarantined contributions as well."""
    reject_field("include", "a local copy has no quarantined contributions" if params.with_quarantined else None)
