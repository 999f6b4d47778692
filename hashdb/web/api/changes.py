"""/v1/changes"""

from __future__ import annotations

from collections.abc import Iterator

from flask import Response, request

from hashdb.domain.changes import Changes
from hashdb.domain.members import Actor, Scope
from hashdb.service import HashDB, changes
from hashdb.web.context import actor, answer, hashdb, query
from hashdb.web.openapi import ApiBlueprint, operation
from hashdb.wire.changes import ChangesEnd, ChangesOut, line
from hashdb.wire.pages import ChangesQuery

blueprint = ApiBlueprint("changes", __name__, url_prefix="/v1/changes", tag="Feed")

_PAGE = 1000
_AGAIN = 5
"""Seconds after which a reader may ask again that found no place to wait."""
_LINES = "application/x-ndjson"


@blueprint.get("")
@operation({200: ChangesOut}, scopes=[Scope.FEED], takes=ChangesQuery, streams=[_LINES], refuses=[410])
def follow() -> Response:
    """Read what changed in the set of active contributions, to match at your side.

    With `Accept: application/x-ndjson` one change a line, and a last line with checkpoint, more and epoch.
    """
    asked = query(ChangesQuery)
    page = changes.read(hashdb(), actor(), asked.after, asked.limit or _PAGE, asked.epoch)
    had_place = True
    if asked.wait and not page.changes:
        had_place = changes.wait(hashdb(), actor(), page.checkpoint, asked.wait)
        page = changes.read(hashdb(), actor(), asked.after, asked.limit or _PAGE, asked.epoch)
    if request.accept_mimetypes.best_match(["application/json", _LINES]) == _LINES:
        response = Response(_stream(hashdb(), actor(), page, asked.limit is None), mimetype=_LINES)
    else:
        response = answer(ChangesOut.of(page))
    if not (had_place or page.changes):
        # Or it would ask again at once, and again.
        response.headers["Retry-After"] = str(_AGAIN)
    return response


def _stream(db: HashDB, reader: Actor, page: Changes, onwards: bool) -> Iterator[str]:
    while True:
        yield "".join(map(line, page.changes))
        if not (page.more and onwards):
            break
        page = changes.read(db, reader, page.checkpoint, _PAGE, page.epoch)
    end = ChangesEnd.model_construct(checkpoint=page.checkpoint, more=page.more, epoch=page.epoch)
    yield f"{end.json_text()}\n"
