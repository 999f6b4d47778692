"""/stopncii/v1: StopNCII's protocol, which HMA and python-threatexchange speak when a credential names the address."""

from __future__ import annotations

from flask import Blueprint, Response, request

from hashdb.domain.members import Actor, Scope
from hashdb.service import exchanges
from hashdb.web.context import admit, body, hashdb, recognise, terms
from hashdb.web.interop import answered, contribute, instant, this_second
from hashdb.wire import read
from hashdb.wire.interop import parsed
from hashdb.wire.interop.stopncii import FeedbacksIn, FetchQuery, HashesIn, page_out

blueprint = Blueprint("stopncii", __name__, url_prefix="/stopncii/v1")


@blueprint.get("/FetchHashes")
def fetch() -> Response:
    """Page through the hashes that changed after a second, up to the last second that is over."""
    who = _caller(Scope.FEED)
    asked = parsed(FetchQuery, request.args.to_dict())
    start, token = asked.start_timestamp, asked.next_page_token
    now = this_second()
    since = exchanges.head(hashdb(), who, instant(min(start + 1, now)))
    after, end = map(int, token.split("-")) if token else (since, now)
    upto = exchanges.head(hashdb(), who, instant(end))
    page = exchanges.read(hashdb(), who, since, after, upto, asked.page_size)
    if not page.more:
        return answered(page_out(page.records, None, max(start, end - 1)))
    # Of the second in which a page ends, a reader that resumes by the time has not seen all.
    level = int(page.records[-1].at.timestamp()) - 1 if page.records else start
    return answered(page_out(page.records, f"{page.checkpoint}-{end}", max(start, level)))


@blueprint.post("/SubmitHashes")
def submit() -> Response:
    """Contribute hashes, with the label that the operator set."""
    who = _caller(Scope.CONTRIBUTE)
    signals = read(HashesIn, body(), terms()).signals()
    return answered({"count": len(contribute(who, signals))})


@blueprint.post("/SubmitFeedback")
def feed_back() -> Response:
    """Confirm (Blocked) or dispute (NotBlocked) what others contribute; other feedback is heard, and is no opinion."""
    who = _caller(Scope.MATCH)
    said = read(FeedbacksIn, body(), terms()).opinions(hashdb().rules.vocabulary.reason)
    return answered({"count": exchanges.judge(hashdb(), who, said, "hashFeedbacks")})


def _caller(scope: Scope) -> Actor:
    return admit(recognise(request.headers.get("x-functions-key", "")), scope)
