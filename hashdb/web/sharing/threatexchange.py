"""/graph: ThreatExchange's Graph API, as far as its clients read updates from it and react to them.

The token stands in the query string, because the clients put it there: no log has one.
"""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.signals import Signal
from hashdb.errors import NotAuthenticated
from hashdb.service.contributions import contributions
from hashdb.service.review import opinions
from hashdb.service.sharing import feed
from hashdb.web.context import admit, app_state, hashdb, recognise
from hashdb.web.sharing import answered, contribute, fields, instant, this_second
from hashdb.wire.sharing import parsed
from hashdb.wire.sharing.threatexchange import (
    PDQ,
    DescriptorIn,
    ReactionIn,
    UpdatesQuery,
    group_out,
    level_out,
    update_out,
    updates_out,
)

blueprint = Blueprint("threatexchange", __name__, url_prefix="/graph")

_GROUP = 1


@blueprint.get("/<id:group>/threat_updates/", strict_slashes=False)
def updates(group: int) -> Response:
    """Page through the values that changed since a second, up to the last second that is over."""
    who = _caller(Scope.FEED)
    asked = parsed(UpdatesQuery, request.args.to_dict())
    now = this_second()
    after, end = map(int, asked.after.split("-")) if asked.after else (None, min(now, asked.stop_time or now))
    since = feed.head(hashdb(), who, instant(min(asked.start_time, now)))
    upto = feed.head(hashdb(), who, instant(end))
    page = feed.exchange(hashdb(), who, since, since if after is None else after, upto, asked.limit)
    while page.more and not page.records:
        page = feed.exchange(hashdb(), who, since, page.checkpoint, upto, asked.limit)
    listed = [update_out(one) for one in page.records] if PDQ in asked.types.split(",") else []
    if page.more and listed:
        return answered(updates_out(listed, _following(group, asked, f"{page.checkpoint}-{end}")))
    listed.append(level_out(max(asked.start_time, end)))
    return answered(updates_out(listed, None))


@blueprint.post("/threat_descriptors/", strict_slashes=False)
def describe() -> Response:
    """Contribute a value, with the label that the operator set."""
    who = _caller(Scope.CONTRIBUTE)
    (made,) = contribute(who, [_described()])
    return answered({"success": True, "id": str(made.id)})


@blueprint.post("/<id:descriptor>/", strict_slashes=False)
def react(descriptor: int) -> Response:
    """Confirm (HELPFUL) or dispute (NOT_HELPFUL, DISAGREE_WITH_TAGS) a contribution; others are no opinion."""
    who = _caller(Scope.MATCH)
    said = parsed(ReactionIn, fields()).opinion()
    if said is None:
        contributions.get(hashdb(), who, descriptor)
    else:
        opinions.give(hashdb(), who, descriptor, said)
    return answered({"success": True, "id": str(descriptor)})


@blueprint.delete("/<id:descriptor>/", strict_slashes=False)
def remove(descriptor: int) -> Response:
    """Withdraw a contribution."""
    contributions.withdraw(hashdb(), _caller(Scope.CONTRIBUTE), descriptor, "other")
    return answered({"success": True})


@blueprint.get("/<id:group>/", strict_slashes=False)
def show_group(group: int) -> Response:
    """Show the database as a privacy group."""
    return answered(group_out(group, _joined(_caller())))


@blueprint.get("/<id:app>/threat_privacy_groups_member", strict_slashes=False)
@blueprint.get("/<id:app>/threat_privacy_groups_owner", strict_slashes=False, endpoint="owned")
def groups(app: int) -> Response:
    """List the one group there is to those that are in it; nobody owns it."""
    listed = [group_out(_GROUP, _joined(_caller()))]
    return answered({"data": listed if request.path.rstrip("/").endswith("member") else []})


def _caller(*scopes: Scope) -> Actor:
    """Who holds the token: the member's number, a bar and the key's secret. Raises NotAuthenticated, NotAllowed."""
    number, _, secret = fields().get("access_token", "").partition("|")
    who = recognise(secret)
    if who.member is None or not number.isdecimal() or number.lstrip("0") != str(who.member.id):
        raise NotAuthenticated()
    return admit(who, *scopes)


def _following(group: int, asked: UpdatesQuery, after: str) -> str:
    """The address of the next page, which the client asks for as it stands."""
    said = {"access_token": fields()["access_token"], "after": after}
    said |= asked.model_dump(mode="json", include={"start_time", "limit", "types"})
    base = app_state().settings.public_url or request.host_url
    return f"{base.rstrip('/')}/graph/{group}/threat_updates/?{urlencode(said)}"


def _described() -> Signal:
    return parsed(DescriptorIn, fields()).indicator


def _joined(who: Actor) -> datetime:
    assert who.member is not None
    return who.member.created_at
