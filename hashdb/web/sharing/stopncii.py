"""/stopncii/v1: StopNCII's protocol, which HMA and python-threatexchange speak when a credential names the address."""

from __future__ import annotations

from flask import Blueprint, Response, request

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.errors import NotAuthenticated
from hashdb.service.sharing import feed
from hashdb.web.context import actor, admit, body, hashdb, recognise, validation_context
from hashdb.web.sharing import answered, contribute, fields, instant, this_second
from hashdb.wire import read
from hashdb.wire.sharing import parsed
from hashdb.wire.sharing.stopncii import FeedbacksIn, FetchQuery, HashesIn, ListQuery, LoginIn, list_out, page_out

blueprint = Blueprint("stopncii", __name__, url_prefix="/stopncii/v1")


@blueprint.get("/FetchHashes")
def fetch() -> Response:
    """Page through the hashes that changed after a second, up to the last second that is over."""
    who = _caller(Scope.FEED)
    asked = parsed(FetchQuery, request.args.to_dict())
    start, token = asked.start_timestamp, asked.next_page_token
    now = this_second()
    since = feed.head(hashdb(), who, instant(min(start + 1, now)))
    after, end = map(int, token.split("-")) if token else (since, now)
    upto = feed.head(hashdb(), who, instant(end))
    page = feed.exchange(hashdb(), who, since, after, upto, asked.page_size)
    if not page.more:
        return answered(page_out(page.records, None, max(start, end - 1)))
    # Of the second in which a page ends, a reader that resumes by the time has not seen all.
    level = int(page.records[-1].at.timestamp()) - 1 if page.records else start
    return answered(page_out(page.records, f"{page.checkpoint}-{end}", max(start, level)))


@blueprint.post("/SubmitHashes")
def submit() -> Response:
    """Contribute hashes, with the label that the operator set."""
    who = _caller(Scope.CONTRIBUTE)
    signals = read(HashesIn, body(), validation_context()).signals()
    return answered({"count": len(contribute(who, signals))})


@blueprint.post("/SubmitFeedback")
def feed_back() -> Response:
    """Confirm (Blocked) or dispute (NotBlocked) what others contribute; other feedback is heard, and is no opinion."""
    who = _caller(Scope.MATCH)
    said = read(FeedbacksIn, body(), validation_context()).opinions(hashdb().rules.vocabulary.reason)
    return answered({"count": feed.judge(hashdb(), who, said, "hashFeedbacks")})


def _caller(scope: Scope) -> Actor:
    return admit(recognise(request.headers.get("x-functions-key", "")), scope)


tat_blueprint = Blueprint("tat", __name__, url_prefix="/tat")


@tat_blueprint.post("/token-auth/tcap/")
def log_in() -> Response:
    """Answer the token of a member, which is the secret that it came with, to send as a bearer."""
    said = parsed(LoginIn, fields())
    who = admit(recognise(said.password))
    if who.member is None or who.member.name != said.username:
        raise NotAuthenticated()
    return answered({"user": {"username": who.member.name}, "token": said.password})


@tat_blueprint.get("/api/hash-list/v2/all")
def browse() -> Response:
    """Page through the values that changed after a checkpoint, deleted ones among them."""
    who = admit(actor(), Scope.FEED)
    asked = parsed(ListQuery, request.args.to_dict())
    head = feed.head(hashdb(), who)
    # A number past the head is of a log that was set back since: all is told again.
    since = asked.after if asked.after <= head else 0
    after, upto = map(int, asked.page.split("-")) if asked.page else (since, head)
    page = feed.exchange(hashdb(), who, since, after, min(upto, head), asked.limit)
    following = f"limit={asked.limit}&page={page.checkpoint}-{upto}" if page.more else None
    return answered(list_out(page.records, following, this_second(), page.checkpoint))
