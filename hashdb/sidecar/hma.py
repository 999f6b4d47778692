"""/hma: the look-ups of HMA (Hasher-Matcher-Actioner), answered from the local copy.

In the service, each member is a bank with the member's name. A copy knows other members only by their ids, so here the
bank of another member is `MEMBER_` and the id. The bank of the own member has its name.

Under the path /hma/as/{bank}/ all contributions are in one bank of this name. The application puts the name into the
WSGI environment, with the key `ONE_BANK`.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import partial

from hashdb.domain.matching.matches import Query
from hashdb.domain.matching.testing import TEST_ID
from hashdb.domain.sharing.exchanges import BankHit, bank_name
from hashdb.domain.signals import Algorithm
from hashdb.errors import BankOfMember, FetchRefused, InvalidInput, NotFound
from hashdb.hashing import Mode
from hashdb.hashing.videos import INTERVAL, QUERY_INTERVAL
from hashdb.http_server.bodies import read_fields, read_json
from hashdb.http_server.forms import InMemoryRequest, check_size
from hashdb.http_server.hma import ONE_BANK, hashes_of, look_up_file, query_of_signal, read_upload
from hashdb.http_server.media import HashedFile
from hashdb.http_server.replies import JSON, TEXT, Reply, json_reply, problem_reply
from hashdb.http_server.texts import hash_pairs
from hashdb.sidecar.matching import hash_uploads
from hashdb.sidecar.state import SidecarState
from hashdb.wire import read
from hashdb.wire.sharing import hma as wire
from hashdb.wire.sharing import parse_fields

BANK = "/hma/c/bank/"
"""The path of a bank; its name follows."""
_PREFIX = "/hma/"
_TEST_BANK = "HASHDB_TEST"
"""The bank of the test item."""
_ALIVE = Reply(b"I-AM-ALIVE", TEXT)


def error_reply(error: Exception, path: str, request: InMemoryRequest | None) -> Reply:
    """The reply to an error at a path of the sidecar: problem details, or HMA's form below `/hma`."""
    reply = problem_reply(error, request)
    if not f"{path}/".startswith(_PREFIX):
        return reply
    message = {"message": json.loads(reply.body)["detail"]}
    content = wire.faults_out(error) if isinstance(error, InvalidInput) else message
    return reply._replace(body=json.dumps(content, ensure_ascii=False).encode(), content_type=JSON)


def status(state: SidecarState, request: InMemoryRequest) -> Reply:
    """Report whether the copy is recent enough."""
    state.require_ready()
    return _ALIVE


def alive(state: SidecarState, request: InMemoryRequest) -> Reply:
    """Report that the process is alive."""
    return _ALIVE


def hash_file(state: SidecarState, request: InMemoryRequest) -> Reply:
    """Hash a picture or a video, without storing it."""
    params = parse_fields(wire.HashQuery, request.args.to_dict())
    types = _types(state, params)
    return json_reply(hashes_of(_file(state, request, params, INTERVAL), types))


def look_up(state: SidecarState, request: InMemoryRequest) -> Reply:
    """Look up a signal, or the signals of a picture or a video."""
    # The fields are in the address, or in a form: a vPDQ may be too long for an address.
    params = parse_fields(wire.LookupQuery, read_fields(request))
    if params.url is None and (request.method == "GET" or params.signal is not None):
        if params.signal_type == Algorithm.PDQ and not params.signal:
            # The empty hash of a picture that PDQ does not fit, which some clients leave out.
            return json_reply({})
        name, query = _requested_query(state, params)
        return json_reply(wire.hits_out(_hits(state, request, query), name, query, params.banks))
    signal_type = None if params.signal_type is None else wire.resolve_type(params.signal_type, _enabled(state))
    types = _types(state, params)
    file = _file(state, request, params, QUERY_INTERVAL)
    return json_reply(look_up_file(file, types, signal_type, params.banks, partial(_hits, state, request)))


def look_up_raw(state: SidecarState, request: InMemoryRequest) -> Reply:
    """Look up a signal; the matches in one list, nearest first."""
    params = parse_fields(wire.LookupQuery, request.args.to_dict())
    name, query = _requested_query(state, params)
    return json_reply(wire.raw_out(_hits(state, request, query), name, query, params))


def compare(state: SidecarState, request: InMemoryRequest) -> Reply:
    """Compare two signals of one type."""
    pairs = hash_pairs(read(wire.CompareIn, read_json(request, state.settings)).root)
    return json_reply(wire.compared_out(wire.CompareIn(pairs).pairs(_enabled(state))))


def show_index(state: SidecarState, request: InMemoryRequest) -> Reply:
    """Show how many values of each type the index holds."""
    return json_reply(wire.index_out(*_index_sizes(state, request)))


def show_database(state: SidecarState, request: InMemoryRequest) -> Reply:
    """Show the figures of `show_index` in the form of HMA's curator."""
    return json_reply(wire.database_out(*_index_sizes(state, request)))


def list_types(state: SidecarState, request: InMemoryRequest) -> Reply:
    """List the types of signal."""
    return json_reply(wire.types_out(_enabled(state)))


def list_content_types(state: SidecarState, request: InMemoryRequest) -> Reply:
    """List the types of content."""
    return json_reply(wire.content_types_out())


def list_exchanges(state: SidecarState, request: InMemoryRequest) -> Reply:
    """List the exchanges that the sidecar fetches: none."""
    return json_reply([])


def list_banks(state: SidecarState, request: InMemoryRequest) -> Reply:
    """List the banks whose names are known: that of the test item, and the member's own."""
    return json_reply([wire.bank_out(name) for name in _known_banks(state, request)])


def add_bank(state: SidecarState, request: InMemoryRequest) -> Reply:
    """Reject the request: a bank is added with its member. The bank in the path of the request exists already."""
    name = read(wire.BankIn, read_json(request, state.settings)).name
    if name != request.environ.get(ONE_BANK):
        raise BankOfMember()
    return json_reply(wire.bank_out(name), 201)


def show_bank(state: SidecarState, request: InMemoryRequest) -> Reply:
    """Show one of the banks of `list_banks`. Raises NotFound."""
    # WSGI decodes the bytes of a path as latin-1; they are UTF-8.
    name = request.environ["PATH_INFO"].removeprefix(BANK).encode("latin-1", "replace").decode("utf-8", "replace")
    if name not in _known_banks(state, request):
        raise NotFound("a bank of this name at this address" if ONE_BANK in request.environ else "a bank of this name")
    return json_reply(wire.bank_out(name))


def _enabled(state: SidecarState) -> tuple[Algorithm, ...]:
    """The algorithms that the service accepts."""
    return state.copy_state().rules.algorithms


def _types(state: SidecarState, params: wire.HashQuery) -> tuple[str, ...]:
    """The names of the signal types that a request asks for."""
    return tuple([wire.resolve_type(name, _enabled(state)) for name in params.types])


def _known_banks(state: SidecarState, request: InMemoryRequest) -> Collection[str]:
    """The names of the banks that are listed: the bank in the path, or those with a name."""
    only_bank = request.environ.get(ONE_BANK)
    return _named_banks(state).values() if only_bank is None else [only_bank]


def _named_banks(state: SidecarState) -> Mapping[int, str]:
    """The banks whose names are known, by member id: that of the test item (`TEST_ID`), and the member's own."""
    own = state.copy_state().me.member
    return {TEST_ID: _TEST_BANK, own.id: bank_name(own.name) or f"MEMBER_{own.id}"}


def _hits(state: SidecarState, request: InMemoryRequest, query: Query) -> tuple[BankHit, ...]:
    """What matches a query, nearest first, each with its bank. The test item has no contributor."""
    (result,) = state.match([query]).results
    if only_bank := request.environ.get(ONE_BANK):
        return tuple([BankHit(only_bank, match) for match in result.matches])
    banks = _named_banks(state)
    members = state.index.contributors([match.contribution for match in result.matches])
    with_members = [(members.get(match.contribution, TEST_ID), match) for match in result.matches]
    return tuple([BankHit(banks.get(member, f"MEMBER_{member}"), match) for member, match in with_members])


def _requested_query(state: SidecarState, params: wire.LookupQuery) -> tuple[str, Query]:
    """The name of the signal type in the parameters, and the query for the signal."""
    accept_text, context = state.settings.accept_text, state.validation_context()
    return query_of_signal(params, _enabled(state), context, accept_text=accept_text, alternative="a file")


def _file(state: SidecarState, request: InMemoryRequest, params: wire.HashQuery, interval: float) -> HashedFile:
    """The hashes of the file in a request. `interval` is the seconds between two frames of a video that are hashed.

    Raises FetchRefused for an address: a sidecar fetches no file.
    """
    if params.url is not None:
        raise FetchRefused()
    _, upload = read_upload(request, state.settings)
    if not upload.has_parts:
        # Raises TooLarge before the picture waits to be hashed.
        check_size(upload, state.settings.media_max_bytes)
    (hashed,) = hash_uploads(state, [upload], [Mode.PLAIN], interval)
    return hashed


def _index_sizes(state: SidecarState, request: InMemoryRequest) -> tuple[dict[str, int], int]:
    """The number of values in the index by signal type, and the Unix time of the copy."""
    signal_type = parse_fields(wire.StatusQuery, request.args.to_dict()).signal_type
    by_name, sizes = wire.indexed_algorithms(signal_type, _enabled(state)), state.index.sizes()
    return {name: sizes[algorithm] for name, algorithm in by_name.items()}, int(state.copy_state().at.timestamp())
