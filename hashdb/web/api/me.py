"""/v1/me"""

from __future__ import annotations

from flask import Response

from hashdb import __version__
from hashdb.domain.budgets import Budget
from hashdb.errors import NotAuthenticated
from hashdb.web.context import actor, answer, hashdb
from hashdb.web.openapi import ApiBlueprint, operation
from hashdb.wire.members import MeOut

blueprint = ApiBlueprint("me", __name__, url_prefix="/v1/me", tag="Who you are")


@blueprint.get("")
@operation({200: MeOut})
def show() -> Response:
    """Show who you are here, and what this service takes."""
    me = actor()
    if me.member is None or me.key is None:
        raise NotAuthenticated()
    db = hashdb()
    return answer(MeOut.of(me.member, me.key, db.rules, db.budgets.left(me, Budget, db.now()), __version__))
