"""/v1/remember and /remembered: uploads to remember, what look-back found, and how far that is acknowledged."""

from __future__ import annotations

from threading import BoundedSemaphore

from hashdb.http_server.bodies import read_json, read_query
from hashdb.http_server.forms import InMemoryRequest
from hashdb.http_server.replies import Reply, model_reply
from hashdb.sidecar.state import SidecarState
from hashdb.wire import read
from hashdb.wire.lookback import AcknowledgedIn, AcknowledgedOut, RememberedOut, ReportsOut, ReportsQuery, read_uploads

_WAITING = BoundedSemaphore(4)
"""At most so many requests of a process wait for a report at the same time: other threads stay free for matches."""


def remember(state: SidecarState, request: InMemoryRequest) -> Reply:
    """Remember uploads durably."""
    uploads = read_uploads(read_json(request, state.settings, may_have_frames=True), state.validation_context())
    state.index.remember(uploads)
    return model_reply(RememberedOut.build(remembered=len(uploads)))


def matches(state: SidecarState, request: InMemoryRequest) -> Reply:
    """The reports after a number. If there is none, wait for one as long as the request says, at most."""
    params = read_query(request, ReportsQuery, None)
    waits = params.wait > 0 and _WAITING.acquire(blocking=False)
    try:
        reports = state.reports.after(params.after, params.limit, wait=params.wait if waits else 0)
        return model_reply(ReportsOut.from_domain(reports))
    finally:
        if waits:
            _WAITING.release()


def acknowledge(state: SidecarState, request: InMemoryRequest) -> Reply:
    """Acknowledge the reports up to a number: they are not returned again."""
    number = read(AcknowledgedIn, read_json(request, state.settings)).number
    state.reports.acknowledge(number)
    return model_reply(AcknowledgedOut.build(acknowledged=state.reports.state().acknowledged))
