"""/v1/matches"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from itertools import repeat

from flask import Response

from hashdb.domain.accounts.members import Scope
from hashdb.domain.matching.matches import Query
from hashdb.domain.review.incidents import Proposal
from hashdb.hashing import Mode
from hashdb.service.matching import benign, matches
from hashdb.web import media
from hashdb.web.context import LARGE, actor, answer, body, hashdb, no_content, query, validation_context
from hashdb.web.openapi import ApiBlueprint, operation
from hashdb.wire import read
from hashdb.wire.contributions import MediaIn, PictureOut, PicturesOut
from hashdb.wire.matching import AnswerOut, BenignIn, BenignOut, BenignsOut, QueriesIn, answer_text, read_queries
from hashdb.wire.pages import MatchesQuery, MediaMatchesQuery, PageQuery
from hashdb.wire.review import ProposalOut

matches_api = ApiBlueprint(
    "matches",
    __name__,
    url_prefix="/v1/matches",
    tag="Match",
    about="For members: ask whether others have removed an item.",
)


@matches_api.post("")
@operation({200: AnswerOut}, scopes=[Scope.MATCH], reads=QueriesIn, takes=MatchesQuery)
def match_signals() -> Response:
    """Find contributions that match items.

    Send 1 to 1,000 queries with at most 4,000 signals in all; each query is one item with its hashes. The response has
    a result for each query, in order. A match is advice to review.
    """
    quarantined = query(MatchesQuery).include is not None
    text = body()
    is_large = len(text) > LARGE
    # The turn covers parsing and writing as well, because both block all other threads.
    with matches.turn(hashdb(), actor()) if is_large else nullcontext():
        queries = read_queries(text, validation_context())
        matched = matches.match(hashdb(), actor(), queries, quarantined=quarantined, has_turn=is_large)
        return Response(answer_text(matched), mimetype="application/json")


@matches_api.post("/media")
@operation({200: AnswerOut}, scopes=[Scope.MATCH], form=MediaIn, takes=MediaMatchesQuery)
def match_pictures() -> Response:
    """Find contributions that match pictures.

    Send 1 to 32 pictures. The service hashes each one in memory, in a sandbox, and never stores it. If the operator
    does not accept pictures, the response is 403. A match is advice to review.
    """
    params = query(MediaMatchesQuery)
    quarantined = params.include is not None
    mode = Mode.TRANSFORMS if params.transforms else Mode.PLAIN
    pictures = media.hash_pictures(media.read_form(metadata=False).files, repeat(mode))
    queries = [Query(picture.signals, transforms=dict(picture.transforms)) for picture in pictures]
    matched = matches.match(hashdb(), actor(), queries, quarantined=quarantined)
    results = tuple(
        replace(result, signals=picture.signals) for result, picture in zip(matched.results, pictures, strict=True)
    )
    return Response(answer_text(replace(matched, results=results)), mimetype="application/json")


signals_api = ApiBlueprint(
    "signals", __name__, url_prefix="/v1/signals", tag="Hash", about="For members: compute the hashes of pictures."
)


@signals_api.post("")
@operation({200: PicturesOut}, scopes=[Scope.CONTRIBUTE, Scope.MATCH], form=MediaIn)
def hash_pictures() -> Response:
    """Hash pictures.

    Send 1 to 32 pictures. Returns the signals and the quality of each one, in order. The service hashes them in memory,
    in a sandbox, and stores nothing.
    """
    hashed = media.hash_pictures(media.read_form(metadata=False).files)
    pictures = [
        PictureOut.model_construct(signals=list(picture.signals), quality=picture.quality) for picture in hashed
    ]
    return answer(PicturesOut.model_construct(pictures=pictures))


benign_api = ApiBlueprint(
    "benign",
    __name__,
    url_prefix="/v1/benign",
    tag="Benign list",
    about="For administrators: content that the service never accepts or matches.",
)

_ADMIN = [Scope.ADMIN]


@benign_api.get("")
@operation({200: BenignsOut}, scopes=_ADMIN, takes=PageQuery)
def list_benign_entries() -> Response:
    """List the benign entries.

    The service accepts and matches nothing near the signals of an entry.
    """
    params = query(PageQuery)
    rows = benign.page(hashdb(), actor(), params.after, params.limit + 1)
    return answer(BenignsOut.of(rows, params.limit))


@benign_api.post("")
@operation({201: BenignOut, 202: ProposalOut}, scopes=_ADMIN, reads=BenignIn)
def create_benign_entry() -> Response:
    """Add a benign entry.

    From now on, the service accepts and matches nothing near its signals. Signals of existing contributions that are
    near it are suppressed: they match nothing while the entry exists. If this needs two persons, the first request
    returns 202 with a proposal, and nothing changes until a second person sends the same request.
    """
    added = benign.add(hashdb(), actor(), read(BenignIn, body(), validation_context()).to_domain())
    if isinstance(added, Proposal):
        return answer(ProposalOut.from_domain(added), 202)
    return answer(BenignOut.from_domain(added), 201)


@benign_api.delete("/<id:benign_id>")
@operation({204: None}, scopes=_ADMIN, refuses=[404])
def delete_benign_entry(benign_id: int) -> Response:
    """Delete a benign entry.

    Signals that only this entry suppressed match again.
    """
    benign.delete(hashdb(), actor(), benign_id)
    return no_content()
