"""/v1/matches"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from itertools import repeat

from flask import Response

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.review.proposals import Proposal
from hashdb.hashing import Mode
from hashdb.hashing.videos import QUERY_INTERVAL
from hashdb.http_server.media import HashedFile, pictures_text, with_hashes
from hashdb.service.matching import benign, matches
from hashdb.web import media
from hashdb.web.context import LARGE_BODY, actor, body, hashdb, list_page, query, validation_context
from hashdb.web.routes import ApiBlueprint, operation
from hashdb.wire import read
from hashdb.wire.files import MediaIn, PicturesOut
from hashdb.wire.jobs import JobOut
from hashdb.wire.matching import AnswerOut, BenignIn, BenignOut, BenignsOut, QueriesIn, answer_text, read_queries
from hashdb.wire.pages import MatchesQuery, MediaMatchesQuery, PageQuery, SignalsQuery
from hashdb.wire.review import ProposalOut

matches_api = ApiBlueprint("matches", tag="Match", about="For members: ask whether others have removed an item.")


@matches_api.post("")
@operation({200: AnswerOut}, any_scope=[Scope.MATCH], body=QueriesIn, query=MatchesQuery)
def match_signals() -> Response:
    """Find contributions that match items.

    Send 1 to 1,000 queries with at most 4,000 signals in all; each query is one item with its hashes. The response has
    a result for each query, in order. A match is advice to review.
    """
    quarantined = query(MatchesQuery).with_quarantined
    text = body(may_have_frames=True)
    is_large = len(text) > LARGE_BODY
    # Large requests of a key are answered one after the other, in turns. The turn covers parsing and writing as well,
    # because both block all other threads.
    with hashdb().batches.turn(actor().name) if is_large else nullcontext():
        queries = read_queries(text, validation_context())
        matched = matches.match(hashdb(), actor(), queries, quarantined=quarantined, has_turn=is_large)
        return Response(answer_text(matched), mimetype="application/json")


@matches_api.post("/media")
@operation({200: AnswerOut, 202: JobOut}, any_scope=[Scope.MATCH], form=MediaIn, query=MediaMatchesQuery)
def match_pictures() -> Response:
    """Find contributions that match pictures, videos and documents.

    Send 1 to 32 files. The service hashes each one in a sandbox, and never stores it: pictures and documents are in
    memory only, and videos in a temporary file without a name. If it takes long, the response is 202 with a job. If
    the operator does not accept files, or no documents and texts, the response is 403. A match is advice to review.
    """
    params, db = query(MediaMatchesQuery), hashdb()
    mode = Mode.TRANSFORMS if params.transforms else Mode.PLAIN

    def finish(caller: Actor, hashed: Sequence[HashedFile]) -> str:
        queries = [file.to_query() for file in hashed]
        matched = matches.match(db, caller, queries, quarantined=params.with_quarantined)
        return answer_text(with_hashes(matched, hashed))

    files = media.read_form(metadata=False).files
    return media.answer_files(files, finish, repeat(mode), interval=QUERY_INTERVAL)


signals_api = ApiBlueprint(
    "signals", tag="Hash", about="For members: compute the hashes of pictures, videos and documents."
)


@signals_api.post("")
@operation({200: PicturesOut, 202: JobOut}, any_scope=[Scope.CONTRIBUTE, Scope.MATCH], form=MediaIn, query=SignalsQuery)
def hash_pictures() -> Response:
    """Hash pictures, videos and documents.

    Send 1 to 32 files. Returns the signals and the quality of each picture, the frames, the duration and the digests
    of each video, and the frames and the digests of each document and text, in order. If the operator accepts no
    documents and texts, the response to one is 403. The service hashes them in a sandbox, and stores nothing. If it
    takes long, the response is 202 with a job.
    """
    mode = Mode.TRANSFORMS if query(SignalsQuery).transforms else Mode.PLAIN
    files = media.read_form(metadata=False).files
    # The frames of a video or a document are as a contribution has them: without transforms, at the usual interval.
    modes = [Mode.PLAIN if file.has_parts else mode for file in files]
    return media.answer_files(files, lambda _, hashed: pictures_text(hashed), modes)


benign_api = ApiBlueprint(
    "benign", tag="Benign list", about="For administrators: content that the service never accepts or matches."
)

_ADMIN = [Scope.ADMIN]


@benign_api.get("")
@operation({200: BenignsOut}, any_scope=_ADMIN, query=PageQuery)
def list_benign_entries() -> BenignsOut:
    """List the benign entries.

    The service accepts and matches nothing near the signals of an entry.
    """
    return list_page(BenignsOut, query(PageQuery), partial(benign.page, hashdb(), actor()))


@benign_api.post("")
@operation({201: BenignOut, 202: ProposalOut}, any_scope=_ADMIN, body=BenignIn)
def create_benign_entry() -> BenignOut | ProposalOut:
    """Add a benign entry.

    From now on, the service accepts and matches nothing near its signals. Signals of existing contributions that are
    near it are suppressed: they match nothing while the entry exists. If this needs two persons, the first request
    returns 202 with a proposal, and nothing changes until a second person sends the same request.
    """
    added = benign.add(hashdb(), actor(), read(BenignIn, body(), validation_context()).to_domain())
    if isinstance(added, Proposal):
        return ProposalOut.from_domain(added)
    return BenignOut.from_domain(added)


@benign_api.delete("/<id:benign_id>")
@operation({204: None}, any_scope=_ADMIN, errors=[404])
def delete_benign_entry(benign_id: int) -> None:
    """Delete a benign entry.

    Signals that only this entry suppressed match again.
    """
    benign.delete(hashdb(), actor(), benign_id)
