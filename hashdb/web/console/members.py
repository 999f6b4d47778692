"""/console/members: who takes part, with which keys."""

from __future__ import annotations

from flask import Response, request, url_for

from hashdb.domain.accounts.members import Key, Member, MemberChange, MemberKind, MemberStatus, Scope
from hashdb.domain.review.incidents import Proposal
from hashdb.domain.sharing.webhooks import MOST
from hashdb.domain.stats.counts import KeyUse
from hashdb.domain.stats.overviews import MemberFigures
from hashdb.service.accounts import members
from hashdb.service.review import proposals
from hashdb.service.sharing import webhooks
from hashdb.service.stats import overviews
from hashdb.web.console import pages
from hashdb.web.console.pages import Form
from hashdb.web.context import actor, hashdb, page_of, query
from hashdb.wire import read
from hashdb.wire.accounts import KeyIn, MemberChangeIn, MemberIn
from hashdb.wire.pages import PageQuery

blueprint = pages.blueprint_of("members", __name__)

_SCOPES = {
    Scope.CONTRIBUTE: "contribute, amend, withdraw and erase its own",
    Scope.MATCH: "ask about uploads, give opinions",
    Scope.FEED: "read the feed, with signals",
    Scope.REVIEW: "decide cases",
    Scope.AUDIT: "read events and every contribution",
    Scope.ADMIN: "administer members and keys; includes review and audit",
}


@blueprint.get("")
def browse() -> Response:
    """List the members."""
    return _listed(Form({"kind": MemberKind.PLATFORM}))


@blueprint.post("")
def add() -> Response:
    """Take a member in."""
    sent = Form.sent()
    asked = {
        "name": sent.text("name"),
        "kind": sent.text("kind"),
        "contact": sent.text("contact"),
        "limits": _limits(sent),
    }
    try:
        member = members.add(hashdb(), actor(), read(MemberIn, pages.query_text(asked)).to_domain())
    except pages.REFUSALS as error:
        return _listed(sent.refused(error), status=422)
    return pages.done(_address(member.id), f"{member.name} is a member now. Issue a key to let its programs in.")


@blueprint.get("/<id:member_id>")
def show(member_id: int) -> Response:
    """Show a member, its keys, and what may be changed."""
    member = members.get(hashdb(), actor(), member_id)
    return _shown(member, _filled(member))


@blueprint.post("/<id:member_id>")
def change(member_id: int) -> Response:
    """Change name, kind, contact or limit."""
    member, sent = members.get(hashdb(), actor(), member_id), Form.sent()
    asked = {
        "name": sent.text("name"),
        "kind": sent.text("kind"),
        "contact": sent.text("contact"),
        "limits": _limits(sent),
    }
    try:
        changed = members.change(
            hashdb(), actor(), member_id, read(MemberChangeIn, pages.query_text(asked)).to_domain()
        )
        assert isinstance(changed, Member)  # Only a suspension may wait for a second person.
    except pages.REFUSALS as error:
        return _shown(member, sent.refused(error), status=422)
    return pages.done(_address(member_id), f"{sent.text('name') or changed.id} was changed.")


@blueprint.get("/keys/<id:key_id>")
def find_key(key_id: int) -> Response:
    """Go to the member whose key it is."""
    return pages.to(_address(members.key(hashdb(), actor(), key_id).member))


@blueprint.get("/<id:member_id>/status")
def ask_status(member_id: int) -> Response:
    """Say what a suspension or a reinstatement would do, before it is done."""
    member = members.get(hashdb(), actor(), member_id)
    return pages.page("member_status.html", member=member, effect=members.effect(hashdb(), actor(), member_id))


@blueprint.post("/<id:member_id>/status")
def set_status(member_id: int) -> Response:
    """Suspend or reinstate a member: at once."""
    suspends = request.form.get("status") == MemberStatus.SUSPENDED
    status = MemberStatus.SUSPENDED if suspends else MemberStatus.ACTIVE
    member = members.change(hashdb(), actor(), member_id, MemberChange(status=status))
    if isinstance(member, Proposal):
        return pages.done(url_for("console.proposals.show", proposal_id=member.id), pages.PROPOSED)
    return pages.done(_address(member_id), f"{member.name} is {member.status}.")


@blueprint.post("/<id:member_id>/keys")
def issue_key(member_id: int) -> Response:
    """Issue a key, and show its secret this once."""
    member, sent = members.get(hashdb(), actor(), member_id), Form.sent()
    expires = sent.text("expires_at")
    asked = {
        "scopes": sent.many("scopes"),
        "expires_at": f"{expires}T00:00:00Z" if expires else None,
        "hides_distances": bool(sent.text("hides_distances")),
    }
    try:
        issued = members.issue_key(hashdb(), actor(), member_id, read(KeyIn, pages.query_text(asked)).to_domain())
    except pages.REFUSALS as error:
        return _shown(member, _filled(member), sent.refused(error), status=422)
    return pages.page("key.html", member=member, key=issued.key, secret=issued.secret)


@blueprint.get("/<id:member_id>/keys/<id:key_id>/revocation")
def ask_revocation(member_id: int, key_id: int) -> Response:
    """Say what a revocation would do, before it is done."""
    member = members.get(hashdb(), actor(), member_id)
    key = members.key(hashdb(), actor(), key_id, member_id)
    use = members.key_uses(hashdb(), actor(), member_id).get(key_id)
    return pages.page("revocation.html", member=member, key=key, use=use)


@blueprint.post("/<id:member_id>/keys/<id:key_id>/revocation")
def revoke_key(member_id: int, key_id: int) -> Response:
    """Revoke a key: it opens nothing from the next request on."""
    members.revoke_key(hashdb(), actor(), key_id, member_id)
    return pages.done(_address(member_id), f"Key {key_id} is revoked.")


def _listed(form: Form, status: int = 200) -> Response:
    asked = query(PageQuery)
    found, more = page_of(members.page(hashdb(), actor(), asked.after, asked.limit + 1), asked.limit)
    after = found[-1].id if more else None
    return pages.page(
        "members.html",
        status=status,
        members=found,
        activity=members.activity(hashdb(), actor(), [member.id for member in found]),
        figures=_figures(),
        uses=_uses(),
        next=after,
        form=form,
        kinds=MemberKind,
    )


def _shown(member: Member, form: Form, key_form: Form | None = None, status: int = 200) -> Response:
    activity = members.activity(hashdb(), actor(), [member.id])[member.id]
    found = _keys(member.id)
    return pages.page(
        "member.html",
        status=status,
        member=member,
        activity=activity,
        figures=_figures()[member.id],
        proposals=proposals.on(hashdb(), actor(), "member", member.id),
        keys=found,
        hooks=webhooks.page(hashdb(), actor(), 0, MOST, of=member.id),
        uses=members.key_uses(hashdb(), actor(), member.id),
        form=form,
        key_form=key_form or Form(),
        ticked=key_form.many("scopes") if key_form else (Scope.CONTRIBUTE, Scope.MATCH),
        kinds=MemberKind,
        scopes=_SCOPES.items(),
    )


def _figures() -> dict[int, MemberFigures]:
    return {one.member: one for one in overviews.members(hashdb(), actor(), members.LATELY.days)}


def _uses() -> dict[int, KeyUse]:
    """Of each member, the use of the key that was used last, with the lag of the one that is furthest behind."""
    found: dict[int, KeyUse] = {}
    for one in members.key_uses(hashdb(), actor()).values():
        best = found.setdefault(one.member, one)
        use = max(best.use, one.use, key=lambda each: each.used_at)
        lag = max((each.lag for each in (best, one) if each.lag), key=lambda each: each.changes, default=None)
        found[one.member] = KeyUse(use, one.member, lag)
    return found


def _keys(member: int) -> list[Key]:
    """Those that open something first, then the newest."""
    now, found = hashdb().now(), members.keys(hashdb(), actor(), member, 0, 1000)
    return sorted(found, key=lambda key: (not key.valid(now), -key.id))


def _filled(member: Member) -> Form:
    limit, factor = member.limits.contributions_per_day, member.limits.budget_factor
    fields = {"name": member.name, "kind": str(member.kind), "contact": member.contact}
    limits = {
        "limits.contributions_per_day": "" if limit is None else str(limit),
        "limits.budget_factor": "" if factor == 1 else str(factor),
    }
    return Form(fields | limits)


def _limits(sent: Form) -> dict[str, object]:
    factor = sent.number("limits.budget_factor")
    return {
        "contributions_per_day": sent.number("limits.contributions_per_day"),
        "budget_factor": 1 if factor is None else factor,
    }


def _address(member: int) -> str:
    return url_for("console.members.show", member_id=member)
