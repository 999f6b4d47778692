"""/tat: Tech Against Terrorism's hash list, version 2."""

from __future__ import annotations

from flask import Blueprint, Response, request

from hashdb.domain.members import Scope
from hashdb.errors import NotAuthenticated
from hashdb.service import exchanges
from hashdb.web.context import actor, admit, hashdb, recognise
from hashdb.web.interop import answered, fields, this_second
from hashdb.wire.interop import parsed
from hashdb.wire.interop.tat import ListQuery, LoginIn, list_out

blueprint = Blueprint("tat", __name__, url_prefix="/tat")


@blueprint.post("/token-auth/tcap/")
def log_in() -> Response:
    """Answer the token of a member, which is the secret that it came with, to send as a bearer."""
    said = parsed(LoginIn, fields())
    who = admit(recognise(said.password))
    if who.member is None or who.member.name != said.username:
        raise NotAuthenticated()
    return answered({"user": {"username": who.member.name}, "token": said.password})


@blueprint.get("/api/hash-list/v2/all")
def browse() -> Response:
    """Page through the values that changed after a checkpoint, deleted ones among them."""
    who = admit(actor(), Scope.FEED)
    asked = parsed(ListQuery, request.args.to_dict())
    head = exchanges.head(hashdb(), who)
    # A number past the head is of a log that was set back since: all is told again.
    since = asked.after if asked.after <= head else 0
    after, upto = map(int, asked.page.split("-")) if asked.page else (since, head)
    page = exchanges.read(hashdb(), who, since, after, min(upto, head), asked.limit)
    following = f"limit={asked.limit}&page={page.checkpoint}-{upto}" if page.more else None
    return answered(list_out(page.records, following, this_second(), page.checkpoint))
