"""/graph: the part of ThreatExchange's Graph API with which its clients read updates and react to them.

The clients send the token in the query string. No log contains a query string.
"""

from __future__ import annotations

from functools import partial
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.sharing.exchanges import ExchangePage
from hashdb.errors import NotAuthenticated
from hashdb.http_server.texts import ADDRESS, TEXT, hash_value
from hashdb.service.contributions import contributions
from hashdb.service.review import opinions
from hashdb.service.sharing import exchanges
from hashdb.web.context import admit, app_state, authenticate_request, hashdb
from hashdb.web.sharing import contribute, fields, json_response, start_of_second, this_second
from hashdb.wire.sharing import parse_fields
from hashdb.wire.sharing import threatexchange as wire

blueprint = Blueprint("threatexchange", __name__, url_prefix="/graph")

_GROUP_ID = 1


@blueprint.get("/<id:group>/threat_updates/", strict_slashes=False)
def updates(group: int) -> Response:
    """Page through the values that changed since a given second, up to the last complete second."""
    caller = _caller(Scope.FEED)
    params = parse_fields(wire.UpdatesQuery, request.args.to_dict())
    now = this_second()
    after, end = map(int, params.after.split("-")) if params.after else (None, min(now, params.stop_time or now))
    since = exchanges.head(hashdb(), caller, start_of_second(min(params.start_time, now)))
    last = exchanges.head(hashdb(), caller, start_of_second(end))
    algorithms, videos = wire.read_types(params.types)
    exchange = partial(exchanges.exchange, hashdb(), caller, since, algorithms=algorithms, videos=videos)
    page = exchange(since if after is None else after, last, params.limit)
    entries = _updates(page, params)
    # The client fails on an empty page.
    while page.more and not entries:
        page = exchange(page.checkpoint, last, params.limit)
        entries = _updates(page, params)
    if page.more:
        return json_response(wire.updates_out(entries, _next_page(group, params, f"{page.checkpoint}-{end}")))
    entries.append(wire.last_update_out(max(params.start_time, end)))
    return json_response(wire.updates_out(entries, None))


@blueprint.post("/threat_descriptors/", strict_slashes=False)
def describe() -> Response:
    """Contribute a value, with the label that the operator set."""
    caller = _caller(Scope.CONTRIBUTE)
    (recorded,) = contribute(caller, [_hashed(parse_fields(wire.DescriptorIn, fields())).fields()])
    return json_response({"success": True, "id": str(recorded.contribution.id)})


@blueprint.post("/<id:descriptor>/", strict_slashes=False)
def react(descriptor: int) -> Response:
    """Confirm (HELPFUL) or dispute (NOT_HELPFUL, DISAGREE_WITH_TAGS) a contribution; other reactions have no effect."""
    caller = _caller(Scope.MATCH)
    opinion = parse_fields(wire.ReactionIn, fields()).opinion()
    if opinion is None:
        contributions.get(hashdb(), caller, descriptor)
    else:
        opinions.give(hashdb(), caller, descriptor, opinion)
    return json_response({"success": True, "id": str(descriptor)})


@blueprint.delete("/<id:descriptor>/", strict_slashes=False)
def remove(descriptor: int) -> Response:
    """Withdraw a contribution."""
    contributions.withdraw(hashdb(), _caller(Scope.CONTRIBUTE), descriptor, "other")
    return json_response({"success": True})


@blueprint.get("/<id:group>/", strict_slashes=False)
def show_group(group: int) -> Response:
    """Show the database as a privacy group."""
    return json_response(_group(group))


@blueprint.get("/<id:app>/threat_privacy_groups_member", strict_slashes=False)
@blueprint.get("/<id:app>/threat_privacy_groups_owner", strict_slashes=False, endpoint="owned")
def groups(app: int) -> Response:
    """List the one privacy group, of which every caller is a member and nobody the owner."""
    group = _group(_GROUP_ID)
    return json_response({"data": [group] if request.path.rstrip("/").endswith("member") else []})


def _hashed(descriptor: wire.DescriptorIn) -> wire.DescriptorIn:
    """The descriptor with the hashes of its address or its text in its place. Raises TextRefused, MalformedRequest."""
    kind = ADDRESS if descriptor.type in wire.ADDRESSES else TEXT if descriptor.type == wire.TEXT else None
    if kind is None:
        return descriptor
    accept_text = app_state().settings.accept_text
    _, value = hash_value(kind, descriptor.indicator, for_query=False, accept_text=accept_text)
    return descriptor.model_copy(update={"indicator": value})


def _caller(*scopes: Scope) -> Actor:
    """The actor of the access token `<member id>|<key secret>`. Raises NotAuthenticated, NotAllowed."""
    number, _, secret = fields().get("access_token", "").partition("|")
    caller = authenticate_request(secret)
    if caller.member is None or not number.isdecimal() or number.lstrip("0") != str(caller.member.id):
        raise NotAuthenticated()
    return admit(caller, *scopes)


def _updates(page: ExchangePage, params: wire.UpdatesQuery) -> list[dict[str, object]]:
    return [update for record in page.records for update in wire.updates_of(record, params.types)]


def _next_page(group: int, params: wire.UpdatesQuery, after: str) -> str:
    """The URL of the next page. The client requests it unchanged."""
    arguments = {"access_token": fields()["access_token"], "after": after}
    arguments |= params.model_dump(mode="json", include={"start_time", "limit"})
    if params.types:
        arguments["types"] = ",".join(params.types)
    base = app_state().settings.public_url or request.host_url
    return f"{base.rstrip('/')}/graph/{group}/threat_updates/?{urlencode(arguments)}"


def _group(id: int) -> dict[str, object]:
    """The database as the privacy group with this id: for the caller, it began when the caller became a member."""
    caller = _caller()
    assert caller.member is not None
    return wire.group_out(id, caller.member.created_at)
