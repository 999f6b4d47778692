"""Two protocols for clients of other hash lists, such as HMA and python-threatexchange.

`/stopncii/v1` is the protocol of StopNCII; `/tat` is that of Tech Against Terrorism.
"""

from __future__ import annotations

from functools import partial

from flask import Blueprint, Response, request

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.errors import NotAuthenticated
from hashdb.http_server.texts import hash_value
from hashdb.service.sharing import exchanges
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

blueprint = Blueprint("stopncii", __name__, url_prefix="/stopncii/v1")


@blueprint.get("/FetchHashes")
def fetch() -> Response:
    """Page through the hashes that changed after a given second, up to the last complete second.

    A page token is `AFTER-END`: the seq after which the page begins, and the second before which the last page ends.
    """
    caller = _authenticate(Scope.FEED)
    params = parse_fields(FetchQuery, request.args.to_dict())
    start, token = params.start_timestamp, params.next_page_token
    now = this_second()
    # The last event before the second that follows `start`.
    since = exchanges.head(hashdb(), caller, start_of_second(min(start + 1, now)))
    after, end = map(int, token.split("-")) if token else (since, now)
    last = exchanges.head(hashdb(), caller, start_of_second(end))
    page = exchanges.exchange(hashdb(), caller, since, after, last, params.page_size, ALGORITHMS)
    if not page.more:
        return json_response(page_out(page.records, None, max(start, end - 1)))
    # A client may resume by time instead of by token. It has then not seen all records of the page's last second.
    seen_until = int(page.records[-1].at.timestamp()) - 1 if page.records else start
    return json_response(page_out(page.records, f"{page.checkpoint}-{end}", max(start, seen_until)))


@blueprint.post("/SubmitHashes")
def submit() -> Response:
    """Contribute hashes, with the label that the operator set for these protocols."""
    caller = _authenticate(Scope.CONTRIBUTE)
    # Clients send texts and addresses in plain: they are hashed here, as for a contribution (not `for_query`).
    hash_plain = partial(hash_value, for_query=False, accept_text=app_state().settings.accept_text)
    items = read(HashesIn, body(), validation_context()).items(hash_plain)
    return json_response({"count": len(contribute(caller, items))})


@blueprint.post("/SubmitFeedback")
def submit_feedback() -> Response:
    """Confirm (Blocked) or dispute (NotBlocked) contributions of others; other feedback has no effect."""
    caller = _authenticate(Scope.MATCH)
    opinions = read(FeedbacksIn, body(), validation_context()).opinions(hashdb().rules.vocabulary.reason)
    return json_response({"count": exchanges.give_opinions(hashdb(), caller, opinions, "hashFeedbacks")})


def _authenticate(scope: Scope) -> Actor:
    """The actor of the key in the header of StopNCII. Raises NotAuthenticated, ScopeMissing."""
    return admit(authenticate_request(request.headers.get("x-functions-key", "")), scope)


tat_blueprint = Blueprint("tat", __name__, url_prefix="/tat")


@tat_blueprint.post("/token-auth/tcap/", strict_slashes=False)
def log_in() -> Response:
    """Return the bearer token of a member: its password, which is the secret of its key."""
    credentials = parse_fields(LoginIn, fields())
    caller = admit(authenticate_request(credentials.password))
    if caller.member is None or caller.member.name != credentials.username:
        raise NotAuthenticated()
    return json_response({"user": {"username": caller.member.name}, "token": credentials.password})


@tat_blueprint.get("/api/hash-list/v2/all")
def list_hashes() -> Response:
    """Page through the values that changed after a checkpoint, including deleted ones.

    A page token is `AFTER-LAST`: the seq after which the page begins, and the seq at which the last page ends.
    """
    caller = admit(actor(), Scope.FEED)
    params = parse_fields(ListQuery, request.args.to_dict())
    head = exchanges.head(hashdb(), caller)
    # A checkpoint past the head is from a log that was restored to an earlier state since: the list starts over.
    since = params.after if params.after <= head else 0
    after, last = map(int, params.page.split("-")) if params.page else (since, head)
    page = exchanges.exchange(hashdb(), caller, since, after, min(last, head), params.limit, ALGORITHMS)
    next_page = f"limit={params.limit}&page={page.checkpoint}-{last}" if page.more else None
    return json_response(list_out(page.records, next_page, this_second(), page.checkpoint))
