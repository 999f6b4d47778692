"""/stopncii/v1: the protocol of StopNCII, for HMA and python-threatexchange; and /tat: Tech Against Terrorism's."""

from __future__ import annotations

from functools import partial

from flask import Blueprint, Response, request

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.errors import NotAuthenticated
from hashdb.service.sharing import feed
from hashdb.web.context import actor, admit, app_state, authenticate_request, body, hashdb, validation_context
from hashdb.web.sharing import contribute, fields, json_response, start_of_second, this_second
from hashdb.wire import read
from hashdb.wire.sharing import parse_fields
from hashdb.wire.sharing.stopncii import (
    ALGORITHMS,
    FeedbacksIn,
    FetchQuery,
    HashesIn,
    ListQuery,
    LoginIn,
    list_out,
    page_out,
)
from hashdb.wsgi.texts import hash_value

blueprint = Blueprint("stopncii", __name__, url_prefix="/stopncii/v1")


@blueprint.get("/FetchHashes")
def fetch() -> Response:
    """Page through the hashes that changed after a given second, up to the last complete second."""
    caller = _caller(Scope.FEED)
    params = parse_fields(FetchQuery, request.args.to_dict())
    start, token = params.start_timestamp, params.next_page_token
    now = this_second()
    since = feed.head(hashdb(), caller, start_of_second(min(start + 1, now)))
    after, end = map(int, token.split("-")) if token else (since, now)
    last = feed.head(hashdb(), caller, start_of_second(end))
    page = feed.exchange(hashdb(), caller, since, after, last, params.page_size, ALGORITHMS)
    if not page.more:
        return json_response(page_out(page.records, None, max(start, end - 1)))
    # A client that resumes by time has not seen all records of the second in which the page ends.
    seen_until = int(page.records[-1].at.timestamp()) - 1 if page.records else start
    return json_response(page_out(page.records, f"{page.checkpoint}-{end}", max(start, seen_until)))


@blueprint.post("/SubmitHashes")
def submit() -> Response:
    """Contribute hashes, with the label that the operator set."""
    caller = _caller(Scope.CONTRIBUTE)
    hash_plain = partial(hash_value, asking=False, accept_text=app_state().settings.accept_text)
    items = read(HashesIn, body(), validation_context()).items(hash_plain)
    return json_response({"count": len(contribute(caller, items))})


@blueprint.post("/SubmitFeedback")
def feed_back() -> Response:
    """Confirm (Blocked) or dispute (NotBlocked) contributions of others; other feedback has no effect."""
    caller = _caller(Scope.MATCH)
    opinions = read(FeedbacksIn, body(), validation_context()).opinions(hashdb().rules.vocabulary.reason)
    return json_response({"count": feed.judge(hashdb(), caller, opinions, "hashFeedbacks")})


def _caller(scope: Scope) -> Actor:
    return admit(authenticate_request(request.headers.get("x-functions-key", "")), scope)


tat_blueprint = Blueprint("tat", __name__, url_prefix="/tat")


@tat_blueprint.post("/token-auth/tcap/")
def log_in() -> Response:
    """Return the bearer token of a member: the key secret that it sent as its password."""
    credentials = parse_fields(LoginIn, fields())
    caller = admit(authenticate_request(credentials.password))
    if caller.member is None or caller.member.name != credentials.username:
        raise NotAuthenticated()
    return json_response({"user": {"username": caller.member.name}, "token": credentials.password})


@tat_blueprint.get("/api/hash-list/v2/all")
def browse() -> Response:
    """Page through the values that changed after a checkpoint, including deleted ones."""
    caller = admit(actor(), Scope.FEED)
    params = parse_fields(ListQuery, request.args.to_dict())
    head = feed.head(hashdb(), caller)
    # A number past the head is from before the log was set back: the list starts over.
    since = params.after if params.after <= head else 0
    after, last = map(int, params.page.split("-")) if params.page else (since, head)
    page = feed.exchange(hashdb(), caller, since, after, min(last, head), params.limit, ALGORITHMS)
    following = f"limit={params.limit}&page={page.checkpoint}-{last}" if page.more else None
    return json_response(list_out(page.records, following, this_second(), page.checkpoint))
