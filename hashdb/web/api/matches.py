"""/v1/matches"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from itertools import repeat

from flask import Response

from hashdb.domain.accounts.members import Scope
from hashdb.domain.matching.matches import Query
from hashdb.hashing import Mode
from hashdb.service.matching import matches
from hashdb.web import media
from hashdb.web.context import LARGE, actor, answer, body, hashdb, query, terms
from hashdb.web.openapi import ApiBlueprint, operation
from hashdb.wire.contributions import MediaIn
from hashdb.wire.matching import AnswerOut, QueriesIn, read_queries
from hashdb.wire.pages import MatchesQuery, MediaMatchesQuery

blueprint = ApiBlueprint("matches", __name__, url_prefix="/v1/matches", tag="Match")


@blueprint.post("")
@operation({200: AnswerOut}, scopes=[Scope.MATCH], reads=QueriesIn, takes=MatchesQuery)
def match() -> Response:
    """Ask which contributions are close to items, by their hashes. A match is advice to review."""
    quarantined = query(MatchesQuery).include is not None
    text = body()
    is_large = len(text) > LARGE
    # The turn is for the parsing and the writing, too: those make all other threads wait.
    with matches.turn(hashdb(), actor()) if is_large else nullcontext():
        queries = read_queries(text, terms())
        found = matches.match(hashdb(), actor(), queries, quarantined=quarantined, has_turn=is_large)
        return answer(AnswerOut.from_domain(found))


@blueprint.post("/media")
@operation({200: AnswerOut}, scopes=[Scope.MATCH], form=MediaIn, takes=MediaMatchesQuery)
def match_media() -> Response:
    """Ask the same of pictures: each is hashed here, in memory, and not kept."""
    asked = query(MediaMatchesQuery)
    quarantined = asked.include is not None
    mode = Mode.TRANSFORMS if asked.transforms else Mode.PLAIN
    pictures = media.hash_pictures(media.read_form(metadata=False).files, repeat(mode))
    queries = [Query(one.signals, transforms=dict(one.transforms)) for one in pictures]
    found = matches.match(hashdb(), actor(), queries, quarantined=quarantined)
    results = tuple(
        replace(result, signals=picture.signals) for result, picture in zip(found.results, pictures, strict=True)
    )
    return answer(AnswerOut.from_domain(replace(found, results=results)))
