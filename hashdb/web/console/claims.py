"""/console/cases, continued: take the next case or this one, release it, and note something for other reviewers."""

from __future__ import annotations

from flask import Response, request, url_for

from hashdb.domain.accounts.members import Scope
from hashdb.domain.review.cases import CaseState
from hashdb.errors import InvalidInput
from hashdb.service.ledger import events
from hashdb.service.review import cases, claims, notes
from hashdb.web.console import pages
from hashdb.web.console.cases import case_page, open_next_case, queue_fields
from hashdb.web.console.pages import Form
from hashdb.web.context import actor, hashdb
from hashdb.wire.review import CaseNoteIn

blueprint = pages.blueprint_of("claims", "/cases")


@blueprint.post("/next")
def take_next() -> Response:
    """Take the next case of a queue that no reviewer has, and open it."""
    actor().require(Scope.REVIEW)
    return open_next_case(None, "")


@blueprint.post("/<id:case_id>/claim")
def change(case_id: int) -> Response:
    """Take this case (`act` is `take`), take it `over`, release it, or release it and take the next one (`skip`)."""
    actor().require(Scope.REVIEW)
    act = request.form.get("act", "take")
    if act in ("take", "over"):
        try:
            claims.take(hashdb(), actor(), case_id, from_others=act == "over")
        except pages.REFUSALS as error:
            return case_page(case_id, Form.sent().refused(error))
        return pages.redirect(url_for("console.cases.show", case_id=case_id, **queue_fields()))
    claims.release(hashdb(), actor(), case_id)
    notice = f"Case {case_id} is free for another reviewer."
    if act == "skip":
        return open_next_case(case_id, notice)
    return pages.redirect_with_notice(notice, "cases.browse", **queue_fields())


@blueprint.post("/<id:case_id>/claim/renewal")
def renew(case_id: int) -> Response:
    """Renew the claim because the page is in use: no content, or a text that says who has or decided the case now."""
    if claims.renew(hashdb(), actor(), case_id):
        return Response(status=204)
    case, claim = cases.get(hashdb(), actor(), case_id), claims.find(hashdb(), actor(), case_id)
    by = case.decided_by if case.state is CaseState.DECIDED else claim.actor if claim else None
    names = events.names(hashdb(), actor(), [by] if by else [])
    return pages.page("claim_lost.html", case=case, claim=claim, names=names, by=by)


@blueprint.post("/<id:case_id>/notes")
def note(case_id: int) -> Response:
    """Note something on a case for other reviewers."""
    actor().require(Scope.REVIEW)
    sent = Form.sent()
    try:
        requested = pages.read_fields(CaseNoteIn, {"text": sent.text("text")})
        notes.add(hashdb(), actor(), case_id, requested.text)
    except InvalidInput as error:
        return case_page(case_id, sent.refused(error))
    return pages.redirect(url_for("console.cases.show", case_id=case_id, _anchor="notes", **queue_fields()))
