"""/hma: the REST API of HMA (Hasher-Matcher-Actioner), as its clients call it to hash, to match and to contribute.

A bank is what a member contributes; whoever has a key looks in all, and adds to its own.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Sequence
from http.client import HTTPException, HTTPResponse
from urllib.parse import urlsplit

from flask import Blueprint, Response, request

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.addresses import Address, public
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
from hashdb.service.sharing.safe_http import PORTS, NotPermittedError, connected, resolved, target
from hashdb.web import media, problems
from hashdb.web.context import actor, admit, app_state, body, hashdb, recognise, sent_whole
from hashdb.web.sharing import answered, labelled
from hashdb.wire import read
from hashdb.wire.sharing import parsed
from hashdb.wire.sharing.hma import (
    BankIn,
    CompareIn,
    ContentChange,
    ContentQuery,
    HashQuery,
    LookupQuery,
    MetadataIn,
    SignalsIn,
    StatusQuery,
    algorithm_of,
    bank_out,
    compared_out,
    content_out,
    database_out,
    faults_out,
    hashes_out,
    hits_out,
    index_out,
    made_out,
    raw_out,
    signal_of,
)

blueprint = Blueprint("hma", __name__, url_prefix="/hma")

_EITHER = (Scope.CONTRIBUTE, Scope.MATCH)


@blueprint.errorhandler(HashDBError)
def refused(error: HashDBError) -> Response:
    """An error as HMA tells it: a message, or a list of what is wrong with each field."""
    response = problems.respond(error)
    said = faults_out(error) if isinstance(error, InvalidInput) else {"message": str(error)}
    if response.status_code < 500 or response.status_code == 503:
        response.set_data(json.dumps(said, ensure_ascii=False))
        response.mimetype = "application/json"
    return response


@blueprint.after_app_request
def respelled(response: Response) -> Response:
    """What is refused under /hma before any view is asked, as an address that is none, as HMA tells it."""
    if response.mimetype == "application/problem+json" and f"{request.path}/".startswith("/hma/"):
        response.set_data(json.dumps({"message": json.loads(response.get_data())["detail"]}, ensure_ascii=False))
        response.mimetype = "application/json"
    return response


@blueprint.get("/status")
def status() -> Response:
    """Tell whether the index is level with the database."""
    health.ready(hashdb())
    return Response("I-AM-ALIVE", mimetype="text/plain")


@blueprint.get("/status/live")
def alive() -> Response:
    """Tell that the process is alive."""
    return Response("I-AM-ALIVE", mimetype="text/plain")


@blueprint.get("/h/hash")
@blueprint.post("/h/hash", endpoint="hash_upload")
def hash_media() -> Response:
    """Hash a picture, in memory, and forget it."""
    _caller(*_EITHER)
    asked = parsed(HashQuery, request.args.to_dict())
    hashed = _hashed(asked)
    return answered(hashes_out(hashed.signals, hashed.quality, asked.types))


@blueprint.get("/m/lookup")
@blueprint.post("/m/lookup", endpoint="lookup_upload")
def look_up() -> Response:
    """Look for a signal, or for a picture by its signals; found is what matches, by bank."""
    who = _caller(Scope.MATCH)
    asked = parsed(LookupQuery, request.args.to_dict())
    if request.method == "GET" and asked.url is None:
        signal = _asked_for(asked)
        return answered(hits_out(_hits(who, [signal]), signal.algorithm, asked.banks))
    hashed = _hashed(asked)
    hashes = hashes_out(hashed.signals, hashed.quality, asked.types)
    fit = [signal for signal in hashed.signals if hashes.get(signal.algorithm)]
    hits = _hits(who, fit) if fit else ()
    found = {signal.algorithm: hits_out(hits, signal.algorithm, asked.banks) for signal in fit}
    if asked.signal_type is not None:
        return answered(found.get(_type(asked.signal_type), {}))
    return answered({name: found.get(Algorithm(name), {}) for name in hashes})


@blueprint.get("/m/raw_lookup")
def look_up_raw() -> Response:
    """Look for a signal; found is what matches, in one list, nearest first."""
    who = _caller(Scope.MATCH)
    asked = parsed(LookupQuery, request.args.to_dict())
    signal = _asked_for(asked)
    return answered(raw_out(_hits(who, [signal]), signal.algorithm, asked))


@blueprint.post("/m/compare")
def compare() -> Response:
    """Compare two signals of a type."""
    _caller(*_EITHER)
    return answered(compared_out(read(CompareIn, body()).pairs(_enabled())))


@blueprint.get("/m/index/status")
def show_index() -> Response:
    """Tell what the index holds, of each type."""
    return answered(index_out(*_index()))


@blueprint.get("/c/signal_type/index")
def show_database() -> Response:
    """Tell what the database and the index hold, of each type."""
    return answered(database_out(*_index()))


@blueprint.get("/c/signal_type")
def list_types() -> Response:
    """List the types of signal."""
    _caller(*_EITHER)
    return answered([{"name": str(one), "enabled_ratio": 1.0} for one in _enabled()])


@blueprint.get("/c/content_type")
def list_content_types() -> Response:
    """List the types of content."""
    _caller(*_EITHER)
    return answered([{"name": "photo", "enabled": True}])


@blueprint.get("/c/exchanges")
def list_exchanges() -> Response:
    """List the exchanges that are fetched: none, this service is one."""
    _caller(*_EITHER)
    return answered([])


@blueprint.get("/c/banks")
def list_banks() -> Response:
    """List the banks: one a member."""
    return answered([bank_out(name) for name in feed.names(hashdb(), _caller(*_EITHER)).values()])


@blueprint.post("/c/banks")
def add_bank() -> Response:
    """Refuse to make a bank."""
    who = _caller(*_EITHER)
    feed.find(hashdb(), who, read(BankIn, body()).name)
    raise BankOfMember()


@blueprint.get("/c/bank/<name>")
def show_bank(name: str) -> Response:
    """Show a bank."""
    feed.find(hashdb(), _caller(*_EITHER), name)
    return answered(bank_out(name))


@blueprint.put("/c/bank/<name>")
@blueprint.delete("/c/bank/<name>", endpoint="remove_bank")
def change_bank(name: str) -> Response:
    """Refuse to change or remove a bank."""
    feed.find(hashdb(), _caller(*_EITHER), name)
    raise BankOfMember()


@blueprint.post("/c/bank/<name>/content")
def add_content(name: str) -> Response:
    """Contribute a picture to your own bank, with the label that the operator set."""
    who = _caller(Scope.CONTRIBUTE)
    feed.own(hashdb(), who, name)
    hashed = _hashed(parsed(HashQuery, request.args.to_dict()))
    return answered(made_out(_contributed(who, hashed.signals, hashed.quality, _reference())))


@blueprint.post("/c/bank/<name>/signal")
def add_signal(name: str) -> Response:
    """Contribute the signals of one item to your own bank, with the label that the operator set."""
    who = _caller(Scope.CONTRIBUTE)
    feed.own(hashdb(), who, name)
    signals = read(SignalsIn, body()).signals(_enabled())
    return answered(made_out(_contributed(who, signals, None, None)))


@blueprint.get("/c/bank/<name>/content/<id:content>")
def show_content(name: str, content: int) -> Response:
    """Show what is in a bank."""
    asked = parsed(ContentQuery, request.args.to_dict())
    return answered(content_out(feed.content(hashdb(), _caller(*_EITHER), name, content), name, asked))


@blueprint.put("/c/bank/<name>/content/<id:content>")
def change_content(name: str, content: int) -> Response:
    """Take note that what is in a bank is enabled, and refuse what would disable it."""
    found = feed.content(hashdb(), _caller(*_EITHER), name, content)
    if read(ContentChange, body()).disable_until_ts != 1:
        raise MalformedRequest("nothing is disabled here for a time: withdraw it, by DELETE")
    return answered(content_out(found, name, ContentQuery()))


@blueprint.delete("/c/bank/<name>/content/<id:content>")
def remove_content(name: str, content: int) -> Response:
    """Withdraw what you have in your bank."""
    who = _caller(Scope.CONTRIBUTE)
    feed.find(hashdb(), who, name)
    try:
        feed.remove(hashdb(), who, name, content)
    except (NotFound, AlreadyWithdrawn):
        return answered({"deleted": 0})
    return answered({"deleted": 1})


def _caller(*scopes: Scope) -> Actor:
    """Who holds the key of the request, or the one that the operator lends to whoever has none."""
    lent = app_state().settings.hma_key
    if lent is None or "Authorization" in request.headers:
        return admit(actor(), *scopes)
    return admit(recognise(lent.get_secret_value()), *scopes)


def _enabled() -> tuple[Algorithm, ...]:
    return hashdb().rules.algorithms


def _type(name: str) -> Algorithm:
    return algorithm_of(name, _enabled())


def _asked_for(asked: LookupQuery) -> Signal:
    missing = [name for name in ("signal", "signal_type") if getattr(asked, name) is None]
    if asked.signal is None or asked.signal_type is None:
        raise MalformedRequest(f"{' and '.join(missing)} must be given, or a url or a file")
    return signal_of(asked.signal_type, asked.signal, _enabled())


def _hits(who: Actor, signals: Sequence[Signal]) -> tuple[BankHit, ...]:
    return feed.look_up(hashdb(), who, Query(tuple(signals)))


def _hashed(asked: HashQuery) -> Hashed:
    """What is computed of the picture of this request, or of the one that it names."""
    for name in asked.types:
        _type(name)
    settings = app_state().settings
    if asked.url is None:
        octets = media.read_picture("photo")
    elif asked.content_type != "photo":
        raise MalformedRequest("no such content_type: there is photo")
    else:
        octets = fetch(asked.url, settings.fetch_hosts, settings.media_max_bytes)
    (hashed,) = media.hash_pictures([octets])
    return hashed


def _reference() -> str | None:
    """The member's own id of a content, of what a form says of it."""
    with sent_whole("the form is not sent as its headers say"):
        given = request.form.get("metadata")
    return None if given is None else read(MetadataIn, given).content_id


def _contributed(who: Actor, signals: tuple[Signal, ...], quality: int | None, reference: str | None) -> Contribution:
    draft = Draft(signals, (labelled(),), None, quality, reference=reference)
    (recorded,) = contributions.contribute(hashdb(), who, [draft]).recorded
    return recorded.contribution


def _index() -> tuple[dict[Algorithm, int], int]:
    _caller(*_EITHER)
    asked = parsed(StatusQuery, request.args.to_dict())
    chosen = _enabled() if asked.signal_type is None else (_type(asked.signal_type),)
    return health.sizes(hashdb(), chosen)


_SECONDS = 20.0
_CHUNK = 65536
_FAILED = "the picture cannot be fetched from that address"


def fetch(url: str, hosts: Collection[str], most: int, permitted: Callable[[Address], bool] = public) -> bytes:
    """The bytes at an address, at most so many, fetched in 20 seconds, without redirects.

    The host must be one of `hosts`, and every address that its name has must be permitted; it is asked at one of those,
    whatever the name has a moment later. Raises FetchRefused before it connects, MalformedRequest, TooLarge.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or PORTS.get(parts.scheme, 0)
    except ValueError:
        raise MalformedRequest(_FAILED) from None
    named = host if port == PORTS.get(parts.scheme) else f"{host}:{port}"
    if parts.scheme not in PORTS or "@" in parts.netloc or named not in hosts:
        raise FetchRefused()
    try:
        with connected(parts, resolved(parts, permitted), _SECONDS) as connection:
            connection.request("GET", target(parts), headers={"Connection": "close"})
            return _read(connection.getresponse(), most)
    except NotPermittedError:
        raise FetchRefused() from None
    except (OSError, HTTPException, ValueError):
        raise MalformedRequest(_FAILED) from None


def _read(response: HTTPResponse, most: int) -> bytes:
    with response:
        if response.status != 200:
            raise MalformedRequest(_FAILED)
        octets = b""
        while part := response.read(_CHUNK):
            octets += part
            if len(octets) > most:
                raise TooLarge("a picture, in bytes,", most)
    return octets
