"""The WSGI application of a witness: add-checkpoint for logs, and the last checkpoint of each log for monitors."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from typing import Final
from wsgiref.types import StartResponse, WSGIEnvironment

from hashdb.domain.ledger.cosignatures import SIZE_TYPE, SUBMISSION_PATH
from hashdb.errors import MethodNotAllowed, NotFound, WrongOldSize
from hashdb.http_server import request_id
from hashdb.http_server.bodies import discard_rest, read_text
from hashdb.http_server.forms import InMemoryRequest
from hashdb.http_server.log_lines import write_line
from hashdb.http_server.replies import TEXT, Reply, problem_reply
from hashdb.witness.witnessing import Witness

LARGEST_BODY: Final = 128 * 1024
"""The largest body in octets: a checkpoint may have dozens of signatures, some of 3,300 octets."""
_ADD, _CHECKPOINT, _HEALTH, _NO_ROUTE = f"/{SUBMISSION_PATH}", "/{origin}/checkpoint", "/healthz", "(none)"
"""The routes, as log lines name them; `(none)` is for an address that does not exist."""
_CHECKPOINT_PATH = re.compile(r"/([0-9a-f]{64})/checkpoint")
"""The path of the last checkpoint of a log: the group is the `origin_hash` of the log."""
_METHODS = {_ADD: ("POST",), _CHECKPOINT: ("GET", "HEAD"), _HEALTH: ("GET", "HEAD")}
_HEADERS = (("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"))


class WitnessServer:
    """The application; one for each process."""

    def __init__(self, witness: Witness) -> None:
        """Answer for a witness."""
        self._witness = witness

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        started, id = time.perf_counter(), request_id.begin(environ, trust_headers=False)
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        checkpoint_path = _CHECKPOINT_PATH.fullmatch(path)
        route = _CHECKPOINT if checkpoint_path else path if path in _METHODS else _NO_ROUTE
        request = InMemoryRequest(environ)
        request.max_content_length = LARGEST_BODY
        try:
            reply = self._reply(request, method, route, checkpoint_path[1] if checkpoint_path else "")
        except WrongOldSize as error:
            # C2SP tlog-witness: the body is the size of the last checkpoint that the witness cosigned.
            reply = Reply(f"{error.size}\n".encode(), SIZE_TYPE, 409)
        except Exception as error:
            reply = problem_reply(error, request)
        # Bytes that were not read would be taken for the next request on this connection.
        discard_rest(environ, LARGEST_BODY)
        logged = method if method in _METHODS.get(route, ()) else "(any)"
        write_line(logged, route, reply.status, time.perf_counter() - started, actor=None)
        headers = [("Content-Type", reply.content_type), ("Content-Length", str(len(reply.body))), *reply.headers]
        start_response(reply.status_line, [*headers, *_HEADERS, (request_id.HEADER, id)])
        return [reply.body] if method != "HEAD" else []

    def _reply(self, request: InMemoryRequest, method: str, route: str, origin_hash: str) -> Reply:
        if route == _NO_ROUTE:
            raise NotFound("this address of the witness")
        if method not in _METHODS[route]:
            raise MethodNotAllowed(", ".join(_METHODS[route]))
        if route == _HEALTH:
            return Reply(b"alive\n", TEXT)
        if route == _CHECKPOINT:
            return Reply(self._witness.last_checkpoint(origin_hash).encode(), f"{TEXT}; charset=utf-8")
        return Reply(self._witness.add_checkpoint(read_text(request)).encode(), f"{TEXT}; charset=utf-8")
