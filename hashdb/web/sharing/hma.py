"""/hma: the REST API of HMA (Hasher-Matcher-Actioner), with which its clients hash, match and contribute.

A bank holds the contributions of one member. A key looks up in all banks, and adds to the bank of its member.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from http.client import HTTPException, HTTPResponse
from urllib.parse import urlsplit

from flask import Blueprint, Response, request

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.addresses import Address, is_public
from hashdb.domain.contributions import Contribution, Draft
from hashdb.domain.matching.matches import Query
from hashdb.domain.sharing.feed import BankHit
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import (
    AlreadyWithdrawn,
    BankOfMember,
    FetchRefused,
    HashDBError,
    InvalidInput,
    MalformedRequest,
    NotFound,
    TooLarge,
)
from hashdb.hashing import Hashed
from hashdb.service import health
from hashdb.service.contributions import contributions
from hashdb.service.sharing import feed
from hashdb.service.sharing.safe_http import PORTS, NotPermittedError, connect, resolve, target
from hashdb.web import media, problems
from hashdb.web.context import actor, admit, app_state, authenticate_request, body, hashdb, reading_body
from hashdb.web.sharing import json_response, required_label
from hashdb.wire import read
from hashdb.wire.sharing import hma as wire
from hashdb.wire.sharing import parse_fields

blueprint = Blueprint("hma", __name__, url_prefix="/hma")

_EITHER = (Scope.CONTRIBUTE, Scope.MATCH)


@blueprint.errorhandler(HashDBError)
def refused(error: HashDBError) -> Response:
    """An error in HMA's format: a message, or a list of the faults of each field."""
    response = problems.respond(error)
    body = wire.faults_out(error) if isinstance(error, InvalidInput) else {"message": str(error)}
    if response.status_code < 500 or response.status_code == 503:
        response.set_data(json.dumps(body, ensure_ascii=False))
        response.mimetype = "application/json"
    return response


@blueprint.after_app_request
def rewrite_problem(response: Response) -> Response:
    """Convert a problem response under /hma that no view of this blueprint made, such as a 404, to HMA's format."""
    if response.mimetype == "application/problem+json" and f"{request.path}/".startswith("/hma/"):
        response.set_data(json.dumps({"message": json.loads(response.get_data())["detail"]}, ensure_ascii=False))
        response.mimetype = "application/json"
    return response


@blueprint.get("/status")
def status() -> Response:
    """Report whether the index has caught up with the database."""
    health.ready(hashdb())
    return Response("I-AM-ALIVE", mimetype="text/plain")


@blueprint.get("/status/live")
def alive() -> Response:
    """Report that the process is alive."""
    return Response("I-AM-ALIVE", mimetype="text/plain")


@blueprint.get("/h/hash")
@blueprint.post("/h/hash", endpoint="hash_upload")
def hash_media() -> Response:
    """Hash a picture in memory, without storing it."""
    _caller(*_EITHER)
    params = parse_fields(wire.HashQuery, request.args.to_dict())
    hashed = _hash_picture(params)
    return json_response(wire.hashes_out(hashed.signals, hashed.quality, params.types))


@blueprint.get("/m/lookup")
@blueprint.post("/m/lookup", endpoint="lookup_upload")
def look_up() -> Response:
    """Look up a signal, or the signals of a picture. Returns the matches by bank."""
    caller = _caller(Scope.MATCH)
    params = parse_fields(wire.LookupQuery, request.args.to_dict())
    if request.method == "GET" and params.url is None:
        signal = _requested_signal(params)
        return json_response(wire.hits_out(_look_up(caller, [signal]), signal.algorithm, params.banks))
    hashed = _hash_picture(params)
    hashes = wire.hashes_out(hashed.signals, hashed.quality, params.types)
    fit = [signal for signal in hashed.signals if hashes.get(signal.algorithm)]
    hits = _look_up(caller, fit) if fit else ()
    by_algorithm = {signal.algorithm: wire.hits_out(hits, signal.algorithm, params.banks) for signal in fit}
    if params.signal_type is not None:
        return json_response(by_algorithm.get(_type(params.signal_type), {}))
    return json_response({name: by_algorithm.get(Algorithm(name), {}) for name in hashes})


@blueprint.get("/m/raw_lookup")
def look_up_raw() -> Response:
    """Look up a signal. Returns the matches in one list, nearest first."""
    caller = _caller(Scope.MATCH)
    params = parse_fields(wire.LookupQuery, request.args.to_dict())
    signal = _requested_signal(params)
    return json_response(wire.raw_out(_look_up(caller, [signal]), signal.algorithm, params))


@blueprint.post("/m/compare")
def compare() -> Response:
    """Compare two signals of one type."""
    _caller(*_EITHER)
    return json_response(wire.compared_out(read(wire.CompareIn, body()).pairs(_enabled())))


@blueprint.get("/m/index/status")
def show_index() -> Response:
    """Show how many values of each type the index holds."""
    return json_response(wire.index_out(*_index_sizes()))


@blueprint.get("/c/signal_type/index")
def show_database() -> Response:
    """Show how many values of each type the database and the index hold."""
    return json_response(wire.database_out(*_index_sizes()))


@blueprint.get("/c/signal_type")
def list_types() -> Response:
    """List the types of signal."""
    _caller(*_EITHER)
    return json_response([{"name": str(algorithm), "enabled_ratio": 1.0} for algorithm in _enabled()])


@blueprint.get("/c/content_type")
def list_content_types() -> Response:
    """List the types of content."""
    _caller(*_EITHER)
    return json_response([{"name": "photo", "enabled": True}])


@blueprint.get("/c/exchanges")
def list_exchanges() -> Response:
    """List the exchanges that this service fetches: none."""
    _caller(*_EITHER)
    return json_response([])


@blueprint.get("/c/banks")
def list_banks() -> Response:
    """List the banks: one for each member."""
    return json_response([wire.bank_out(name) for name in feed.list_banks(hashdb(), _caller(*_EITHER)).values()])


@blueprint.post("/c/banks")
def add_bank() -> Response:
    """Reject the request: a bank comes with its member."""
    caller = _caller(*_EITHER)
    feed.find_bank(hashdb(), caller, read(wire.BankIn, body()).name)
    raise BankOfMember()


@blueprint.get("/c/bank/<name>")
def show_bank(name: str) -> Response:
    """Show a bank."""
    feed.find_bank(hashdb(), _caller(*_EITHER), name)
    return json_response(wire.bank_out(name))


@blueprint.put("/c/bank/<name>")
@blueprint.delete("/c/bank/<name>", endpoint="remove_bank")
def change_bank(name: str) -> Response:
    """Reject the request: a bank cannot be changed or removed."""
    feed.find_bank(hashdb(), _caller(*_EITHER), name)
    raise BankOfMember()


@blueprint.post("/c/bank/<name>/content")
def add_content(name: str) -> Response:
    """Contribute a picture to the caller's bank, with the label that the operator set."""
    caller = _caller(Scope.CONTRIBUTE)
    feed.own(hashdb(), caller, name)
    hashed = _hash_picture(parse_fields(wire.HashQuery, request.args.to_dict()))
    return json_response(wire.added_out(_contribute(caller, hashed.signals, hashed.quality, _reference())))


@blueprint.post("/c/bank/<name>/signal")
def add_signal(name: str) -> Response:
    """Contribute the signals of one item to the caller's bank, with the label that the operator set."""
    caller = _caller(Scope.CONTRIBUTE)
    feed.own(hashdb(), caller, name)
    signals = read(wire.SignalsIn, body()).signals(_enabled())
    return json_response(wire.added_out(_contribute(caller, signals, None, None)))


@blueprint.get("/c/bank/<name>/content/<id:content>")
def show_content(name: str, content: int) -> Response:
    """Show one content of a bank."""
    params = parse_fields(wire.ContentQuery, request.args.to_dict())
    return json_response(wire.content_out(feed.content(hashdb(), _caller(*_EITHER), name, content), name, params))


@blueprint.put("/c/bank/<name>/content/<id:content>")
def change_content(name: str, content: int) -> Response:
    """Accept a change that keeps a content enabled, and reject one that would disable it."""
    bank_content = feed.content(hashdb(), _caller(*_EITHER), name, content)
    if read(wire.ContentChange, body()).disable_until_ts != 1:
        raise MalformedRequest("content cannot be disabled for a time: withdraw it with DELETE")
    return json_response(wire.content_out(bank_content, name, wire.ContentQuery()))


@blueprint.delete("/c/bank/<name>/content/<id:content>")
def remove_content(name: str, content: int) -> Response:
    """Withdraw a content of the caller's bank."""
    caller = _caller(Scope.CONTRIBUTE)
    feed.find_bank(hashdb(), caller, name)
    try:
        feed.remove(hashdb(), caller, name, content)
    except (NotFound, AlreadyWithdrawn):
        return json_response({"deleted": 0})
    return json_response({"deleted": 1})


def _caller(*scopes: Scope) -> Actor:
    """The actor of the request's key, or of the key that the operator lends to clients without one."""
    lent = app_state().settings.hma_key
    if lent is None or "Authorization" in request.headers:
        return admit(actor(), *scopes)
    return admit(authenticate_request(lent.get_secret_value()), *scopes)


def _enabled() -> tuple[Algorithm, ...]:
    return hashdb().rules.algorithms


def _type(name: str) -> Algorithm:
    return wire.algorithm_of(name, _enabled())


def _requested_signal(params: wire.LookupQuery) -> Signal:
    missing = [name for name in ("signal", "signal_type") if getattr(params, name) is None]
    if params.signal is None or params.signal_type is None:
        raise MalformedRequest(f"{' and '.join(missing)} must be given, or a url or a file")
    return wire.signal_of(params.signal_type, params.signal, _enabled())


def _look_up(caller: Actor, signals: Sequence[Signal]) -> tuple[BankHit, ...]:
    return feed.look_up(hashdb(), caller, Query(tuple(signals)))


def _hash_picture(params: wire.HashQuery) -> Hashed:
    """The hashes of the picture in this request, or of the one at its `url`."""
    for name in params.types:
        _type(name)
    settings = app_state().settings
    if params.url is None:
        picture = media.read_picture("photo")
    elif params.content_type != "photo":
        raise MalformedRequest("content_type must be photo")
    else:
        picture = fetch(params.url, settings.fetch_hosts, settings.media_max_bytes)
    (hashed,) = media.hash_pictures([picture])
    return hashed


def _reference() -> str | None:
    """The member's own id of the content, from the `metadata` of the form."""
    with reading_body("the form does not match its headers"):
        metadata = request.form.get("metadata")
    return None if metadata is None else read(wire.MetadataIn, metadata).content_id


def _contribute(caller: Actor, signals: tuple[Signal, ...], quality: int | None, reference: str | None) -> Contribution:
    draft = Draft(signals, (required_label(),), None, quality, reference=reference)
    (recorded,) = contributions.contribute(hashdb(), caller, [draft]).recorded
    return recorded.contribution


def _index_sizes() -> tuple[dict[Algorithm, int], int]:
    _caller(*_EITHER)
    params = parse_fields(wire.StatusQuery, request.args.to_dict())
    algorithms = _enabled() if params.signal_type is None else (_type(params.signal_type),)
    return health.sizes(hashdb(), algorithms)


_SECONDS = 20.0
_CHUNK = 65536
_FETCH_FAILED = "the picture cannot be fetched from that address"


def fetch(url: str, hosts: Collection[str], max_bytes: int, permitted: Callable[[Address], bool] = is_public) -> bytes:
    """Fetch at most `max_bytes` from a URL, within 20 seconds and without following redirects.

    The host must be one of `hosts`, and all its addresses must be permitted. The connection uses one of these
    addresses, so a later change of the name has no effect.

    Raises FetchRefused before it connects, MalformedRequest, TooLarge.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        raise MalformedRequest(_FETCH_FAILED) from None
    address = host if port == PORTS.get(parts.scheme) else f"{host}:{port}"
    if parts.scheme not in PORTS or "@" in parts.netloc or address not in hosts:
        raise FetchRefused()
    try:
        with connect(parts, resolve(parts, permitted), _SECONDS) as connection:
            connection.request("GET", target(parts), headers={"Connection": "close"})
            return _read(connection.getresponse(), max_bytes)
    except NotPermittedError:
        raise FetchRefused() from None
    except (OSError, HTTPException, ValueError):
        raise MalformedRequest(_FETCH_FAILED) from None


def _read(response: HTTPResponse, max_bytes: int) -> bytes:
    with response:
        if response.status != 200:
            raise MalformedRequest(_FETCH_FAILED)
        picture = b""
        while part := response.read(_CHUNK):
            picture += part
            if len(picture) > max_bytes:
                raise TooLarge("the bytes of a picture", max_bytes)
    return picture
