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

matches_api = ApiBlueprint("matches", __name__, url_prefix="/v1/matches", tag="Match")


@matches_api.post("")
@operation({200: AnswerOut}, scopes=[Scope.MATCH], reads=QueriesIn, takes=MatchesQuery)
def match() -> Response:
    """Ask which contributions are close to items, by their hashes. A match is advice to review."""
    quarantined = query(MatchesQuery).include is not None
    text = body()
    is_large = len(text) > LARGE
    # The turn is for the parsing and the writing, too: those make all other threads wait.
    with matches.turn(hashdb(), actor()) if is_large else nullcontext():
        queries = read_queries(text, validation_context())
        matched = matches.match(hashdb(), actor(), queries, quarantined=quarantined, has_turn=is_large)
        return Response(answer_text(matched), mimetype="application/json")


@matches_api.post("/media")
@operation({200: AnswerOut}, scopes=[Scope.MATCH], form=MediaIn, takes=MediaMatchesQuery)
def match_media() -> Response:
    """Ask the same of pictures: each is hashed here, in memory, and not kept."""
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


signals_api = ApiBlueprint("signals", __name__, url_prefix="/v1/signals", tag="Hash")


@signals_api.post("")
@operation({200: PicturesOut}, scopes=[Scope.CONTRIBUTE, Scope.MATCH], form=MediaIn)
def hash_media() -> Response:
    """Hash pictures, in memory, and forget them."""
    hashed = media.hash_pictures(media.read_form(metadata=False).files)
    pictures = [
        PictureOut.model_construct(signals=list(picture.signals), quality=picture.quality) for picture in hashed
    ]
    return answer(PicturesOut.model_construct(pictures=pictures))


benign_api = ApiBlueprint("benign", __name__, url_prefix="/v1/benign", tag="Benign signals")

_ADMIN = [Scope.ADMIN]


@benign_api.get("", endpoint="browse")
@operation({200: BenignsOut}, scopes=_ADMIN, takes=PageQuery)
def browse_benign() -> Response:
    """List what is never accepted and never matched."""
    params = query(PageQuery)
    rows = benign.page(hashdb(), actor(), params.after, params.limit + 1)
    return answer(BenignsOut.of(rows, params.limit))


@benign_api.post("", endpoint="add")
@operation({201: BenignOut, 202: ProposalOut}, scopes=_ADMIN, reads=BenignIn)
def add_benign() -> Response:
    """Accept and match nothing close to these signals any more.

    Contributions that hold such signals are amended: those match no longer. Where two persons are needed, the first
    one's request is answered with 202 and waits for the second one's.
    """
    added = benign.add(hashdb(), actor(), read(BenignIn, body(), validation_context()).to_domain())
    if isinstance(added, Proposal):
        return answer(ProposalOut.from_domain(added), 202)
    return answer(BenignOut.from_domain(added), 201)


@benign_api.delete("/<id:benign_id>", endpoint="delete")
@operation({204: None}, scopes=_ADMIN, refuses=[404])
def delete_benign(benign_id: int) -> Response:
    """Take an entry away: what it alone kept from matching matches again."""
    benign.delete(hashdb(), actor(), benign_id)
    return no_content()
