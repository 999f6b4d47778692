"""/hma: the REST API of HMA (Hasher-Matcher-Actioner), with which its clients hash, match and contribute.

A bank holds the contributions of one member. A key looks up in all banks, and adds to the bank of its member.
Under /hma/as/{bank}/ the same routes show everything as one bank of that name, for clients that make their own bank.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import cast
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Blueprint, Response, g, request

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Contribution, Draft
from hashdb.domain.frames import Frame
from hashdb.domain.matching.matches import Query
from hashdb.domain.sharing.exchanges import BankHit
from hashdb.domain.signals import Algorithm
from hashdb.errors import AlreadyWithdrawn, BankOfMember, HashDBError, InvalidInput, MalformedRequest, NotFound
from hashdb.hashing.videos import INTERVAL, QUERY_INTERVAL
from hashdb.http_server.bodies import reading_body
from hashdb.http_server.forms import check_size
from hashdb.http_server.hma import ONE_BANK, hashes_of, look_up_file, query_of_signal, read_upload, split_bank
from hashdb.http_server.media import HashedFile
from hashdb.http_server.texts import hash_pairs, hash_value
from hashdb.http_server.uploads import Upload
from hashdb.service import HashDB, health
from hashdb.service.contributions import contributions
from hashdb.service.sharing import banks
from hashdb.web import media, problems
from hashdb.web.context import (
    InMemoryRequest,
    actor,
    admit,
    app_state,
    authenticate_request,
    body,
    hashdb,
    validation_context,
)
from hashdb.web.sharing import contribute, dumps, fields, json_response, required_label
from hashdb.web.sharing.fetching import fetch
from hashdb.wire import read
from hashdb.wire.sharing import hma as wire
from hashdb.wire.sharing import parse_fields

blueprint = Blueprint("hma", __name__, url_prefix="/hma")

_EITHER = (Scope.CONTRIBUTE, Scope.MATCH)


def rewrite_bank_paths(application: WSGIApplication) -> WSGIApplication:
    """The application, in which /hma/as/{bank}/… is /hma/… with all matches in one bank of this name."""

    def serve(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path, bank = split_bank(environ.get("PATH_INFO", ""))
        if bank is not None:
            environ |= {"PATH_INFO": path, ONE_BANK: bank}
        return application(environ, start_response)

    return serve


@blueprint.errorhandler(HashDBError)
def refused(error: HashDBError) -> Response:
    """An error in HMA's format: a list of the faults of each field; `rewrite_problem` makes a message of all others."""
    response = problems.refuse(hashdb(), g.get("actor"), error, posted_to="")
    if isinstance(error, InvalidInput):
        response.set_data(dumps(wire.faults_out(error)))
        response.mimetype = "application/json"
    return response


@blueprint.after_app_request
def rewrite_problem(response: Response) -> Response:
    """Convert a problem response under /hma to HMA's format, also one that no view of this blueprint made."""
    if response.mimetype == "application/problem+json" and f"{request.path}/".startswith("/hma/"):
        response.set_data(dumps({"message": json.loads(response.get_data())["detail"]}))
        response.mimetype = "application/json"
    return response


@blueprint.get("/status")
def status() -> Response:
    """Report whether the index has caught up with the database."""
    health.require_ready(hashdb())
    return Response("I-AM-ALIVE", mimetype="text/plain")


@blueprint.get("/status/live")
def alive() -> Response:
    """Report that the process is alive."""
    return Response("I-AM-ALIVE", mimetype="text/plain")


@blueprint.get("/h/hash")
@blueprint.post("/h/hash", endpoint="hash_upload")
def hash_media() -> Response:
    """Hash a picture or a video, without storing it."""
    _caller(*_EITHER)
    params = parse_fields(wire.HashQuery, request.args.to_dict())
    types = _types(params)
    return _answer(_file(params), lambda _, file: hashes_of(file, types))


@blueprint.get("/m/lookup")
@blueprint.post("/m/lookup", endpoint="lookup_upload")
def look_up() -> Response:
    """Look up a signal, or the signals of a picture or a video. Returns the matches by bank."""
    caller, db, only = _caller(Scope.MATCH), hashdb(), _bank_in_path()
    # A vPDQ may be too long for an address: then the fields are a form.
    params = parse_fields(wire.LookupQuery, fields())
    if params.url is None and (request.method == "GET" or params.signal is not None):
        if params.signal_type == Algorithm.PDQ and not params.signal:
            # The empty hash of a picture that PDQ does not fit, which some clients leave out.
            return json_response({})
        name, query = _requested_query(params)
        return json_response(wire.hits_out(_hits(db, caller, query, only), name, query, params.banks))
    signal_type = None if params.signal_type is None else wire.resolve_type(params.signal_type, _enabled())
    types = _types(params)

    def finish(caller: Actor, file: HashedFile) -> object:
        return look_up_file(file, types, signal_type, params.banks, lambda query: _hits(db, caller, query, only))

    return _answer(_file(params), finish, interval=QUERY_INTERVAL)


@blueprint.get("/m/raw_lookup")
def look_up_raw() -> Response:
    """Look up a signal. Returns the matches in one list, nearest first."""
    caller = _caller(Scope.MATCH)
    params = parse_fields(wire.LookupQuery, request.args.to_dict())
    name, query = _requested_query(params)
    return json_response(wire.raw_out(_hits(hashdb(), caller, query, _bank_in_path()), name, query, params))


@blueprint.post("/m/compare")
def compare() -> Response:
    """Compare two signals of one type."""
    _caller(*_EITHER)
    pairs = hash_pairs(read(wire.CompareIn, body()).root)
    return json_response(wire.compared_out(wire.CompareIn(pairs).pairs(_enabled())))


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
    return json_response(wire.types_out(_enabled()))


@blueprint.get("/c/content_type")
def list_content_types() -> Response:
    """List the types of content."""
    _caller(*_EITHER)
    return json_response(wire.content_types_out())


@blueprint.get("/c/exchanges")
@blueprint.get("/c/exchanges/apis", endpoint="list_exchange_apis")
def list_exchanges() -> Response:
    """List the exchanges that this service fetches, or their protocols: none."""
    _caller(*_EITHER)
    return json_response([])


@blueprint.get("/c/banks")
def list_banks() -> Response:
    """List the banks: one for each member."""
    caller, only = _caller(*_EITHER), _bank_in_path()
    names = banks.list_banks(hashdb(), caller).values() if only is None else [only]
    return json_response([wire.bank_out(name) for name in names])


@blueprint.post("/c/banks")
def add_bank() -> Response:
    """Reject the request: a bank comes with its member. The only bank of an address is there already."""
    caller, name = _caller(*_EITHER), read(wire.BankIn, body()).name
    if name == _bank_in_path():
        return json_response(wire.bank_out(name), 201)
    _require_bank(caller, name)
    raise BankOfMember()


@blueprint.get("/c/bank/<name>")
def show_bank(name: str) -> Response:
    """Show a bank."""
    _require_bank(_caller(*_EITHER), name)
    return json_response(wire.bank_out(name))


@blueprint.put("/c/bank/<name>")
@blueprint.delete("/c/bank/<name>", endpoint="remove_bank")
def change_bank(name: str) -> Response:
    """Reject the request: a bank cannot be changed or removed."""
    _require_bank(_caller(*_EITHER), name)
    raise BankOfMember()


@blueprint.post("/c/bank/<name>/content")
def add_content(name: str) -> Response:
    """Contribute a picture or a video to the caller's bank, with the label that the operator set."""
    db = hashdb()
    _require_own_bank(_caller(Scope.CONTRIBUTE), name)
    params = parse_fields(wire.HashQuery, request.args.to_dict())
    label, file, reference = required_label(), _file(params), _reference()

    def add(caller: Actor, file: HashedFile) -> object:
        draft = file.in_draft(Draft(file.hashed.signals, (label,), None, file.hashed.quality, reference=reference))
        (recorded,) = contributions.contribute(db, caller, [draft]).recorded
        return wire.added_out(recorded.contribution, draft.frames)

    return _answer(file, add)


@blueprint.post("/c/bank/<name>/signal")
def add_signal(name: str) -> Response:
    """Contribute the signals of one item to the caller's bank, with the label that the operator set."""
    caller = _caller(Scope.CONTRIBUTE)
    _require_own_bank(caller, name)
    values, accept_text = read(wire.SignalsIn, body()).root, app_state().settings.accept_text
    values = dict(hash_value(name, value, for_query=False, accept_text=accept_text) for name, value in values.items())
    (recorded,) = contribute(caller, [wire.SignalsIn(values).fields(_enabled())])
    return json_response(wire.added_out(recorded.contribution, _frames(caller, recorded.contribution)))


@blueprint.get("/c/bank/<name>/content/<id:content>")
def show_content(name: str, content: int) -> Response:
    """Show one content of a bank."""
    caller = _caller(*_EITHER)
    params = parse_fields(wire.ContentQuery, request.args.to_dict())
    contribution = _content(caller, name, content)
    frames = _frames(caller, contribution) if params.include_signals else ()
    return json_response(wire.content_out(contribution, name, params, frames))


@blueprint.put("/c/bank/<name>/content/<id:content>")
def change_content(name: str, content: int) -> Response:
    """Accept a change that keeps a content enabled, and reject one that would disable it."""
    contribution = _content(_caller(*_EITHER), name, content)
    if read(wire.ContentChange, body()).disable_until_ts != 1:
        raise MalformedRequest("content cannot be disabled for a time: withdraw it with DELETE")
    return json_response(wire.content_out(contribution, name, wire.ContentQuery()))


@blueprint.delete("/c/bank/<name>/content/<id:content>")
def remove_content(name: str, content: int) -> Response:
    """Withdraw a content of the caller's bank."""
    caller = _caller(Scope.CONTRIBUTE)
    _require_bank(caller, name)
    try:
        banks.remove(hashdb(), caller, None if _bank_in_path() else name, content)
    except (NotFound, AlreadyWithdrawn):
        return json_response({"deleted": 0})
    return json_response({"deleted": 1})


def _bank_in_path() -> str | None:
    """The name of the one bank in a path below /hma/as/; None for other paths."""
    return request.environ.get(ONE_BANK)


def _require_bank(caller: Actor, name: str) -> None:
    """Raise NotFound if there is no bank of this name."""
    if _bank_in_path() is None:
        banks.find_bank(hashdb(), caller, name)
    elif name != _bank_in_path():
        raise NotFound("a bank of this name at this address")


def _require_own_bank(caller: Actor, name: str) -> None:
    """Raise NotFound, NotYours or BankOfMember if this is not a bank into which the caller contributes."""
    if _bank_in_path() is None:
        banks.require_own_bank(hashdb(), caller, name)
    else:
        _require_bank(caller, name)


def _content(caller: Actor, name: str, id: int) -> Contribution:
    """A contribution of a bank. Raises NotFound."""
    _require_bank(caller, name)
    return banks.content(hashdb(), caller, None if _bank_in_path() else name, id)


def _hits(db: HashDB, caller: Actor, query: Query, only: str | None) -> Sequence[BankHit]:
    """What matches a query, nearest first, each with its bank: the one bank of the path, `only`, if it has one."""
    hits = banks.look_up(db, caller, query)
    return hits if only is None else [BankHit(only, hit.match) for hit in hits]


def _caller(*scopes: Scope) -> Actor:
    """The actor of the request's key, or of the key that the operator lends to clients without one.

    Clients of HMA that take no key, but an address with a user and a password, send the key as the password.
    """
    lent, authorization = app_state().settings.hma_key, request.authorization
    if authorization is not None and authorization.type == "basic":
        return admit(authenticate_request(authorization.password or ""), *scopes)
    if lent is None or "Authorization" in request.headers:
        return admit(actor(), *scopes)
    return admit(authenticate_request(lent.get_secret_value()), *scopes)


def _enabled() -> tuple[Algorithm, ...]:
    return hashdb().rules.algorithms


def _types(params: wire.HashQuery) -> tuple[str, ...]:
    return tuple([wire.resolve_type(name, _enabled()) for name in params.types])


def _requested_query(params: wire.LookupQuery) -> tuple[str, Query]:
    """The signal type in the parameters, and the query for the signal."""
    accept_text = app_state().settings.accept_text
    context = validation_context()
    return query_of_signal(params, _enabled(), context, accept_text=accept_text, alternative="a url or a file")


def _file(params: wire.HashQuery) -> Upload | bytes:
    """The video or the document in this request, or the bytes of the picture in it or at its `url`."""
    settings = app_state().settings
    if params.url is None:
        field, upload = read_upload(cast(InMemoryRequest, request), settings)
        if field != "photo" and upload.has_parts:
            return upload
        check_size(upload, settings.media_max_bytes)
        return upload.stream.read()
    if params.content_type != "photo":
        raise MalformedRequest("content_type must be photo: send a video or a document in a form")
    return fetch(params.url, settings.fetch_hosts, settings.media_max_bytes)


def _answer(
    file: Upload | bytes, finish: Callable[[Actor, HashedFile], object], *, interval: float = INTERVAL
) -> Response:
    """Hash a file, and answer with what `finish` makes of it.

    Of a video, `finish` runs in another thread. If that takes long, the answer is a job.
    """
    if isinstance(file, Upload):
        return media.answer_files([file], lambda caller, files: dumps(finish(caller, files[0])), interval=interval)
    return json_response(finish(cast(Actor, g.actor), HashedFile(media.hash_picture(file))))


def _reference() -> str | None:
    """The member's own id of the content: the field `content_id`, or that of `metadata`, in the form or the query."""
    with reading_body("the form does not match its headers"):
        values = {**request.args.to_dict(), **request.form.to_dict()}
    if "content_id" in values:
        return parse_fields(wire.MetadataIn, {"content_id": values["content_id"]}).content_id
    return None if "metadata" not in values else read(wire.MetadataIn, values["metadata"]).content_id


def _frames(caller: Actor, contribution: Contribution) -> tuple[Frame, ...]:
    """The frames of a contribution, if the caller may see them."""
    if "signals" in contribution.hidden or not contribution.frame_count:
        return ()
    return contributions.frames(hashdb(), caller, contribution.id)


def _index_sizes() -> tuple[dict[str, int], int]:
    """The number of values in the index by signal type, and the Unix time of the last event in the index."""
    _caller(*_EITHER)
    params = parse_fields(wire.StatusQuery, request.args.to_dict())
    by_name = wire.indexed_algorithms(params.signal_type, _enabled())
    sizes, event_at = health.index_sizes(hashdb(), set(by_name.values()))
    return {name: sizes[algorithm] for name, algorithm in by_name.items()}, event_at
