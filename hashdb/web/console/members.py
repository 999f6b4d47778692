"""/console/members: the members and their keys."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from flask import Response, request, url_for

from hashdb.domain.accounts.members import Activity, Key, Member, MemberChange, MemberKind, MemberStatus, Scope
from hashdb.domain.review.proposals import Proposal
from hashdb.domain.sharing.webhooks import MAX_WEBHOOKS
from hashdb.domain.stats.counts import KeyUse
from hashdb.domain.stats.overviews import MemberFigures
from hashdb.service.accounts import members
from hashdb.service.review import proposals
from hashdb.service.sharing import upstreams, webhooks
from hashdb.service.stats import overviews
from hashdb.web.console import pages
from hashdb.web.console.lists import Column, page_of_all
from hashdb.web.console.pages import Form
from hashdb.web.context import actor, hashdb, query
from hashdb.wire.accounts import KeyIn, MemberChangeIn, MemberIn
from hashdb.wire.pages import ListQuery

blueprint = pages.blueprint_of("members")

_ORDERS_BY_ACTIVITY = ("added", "opinions", "last")
"""Orders for which the activity of every member is counted, and not only of those on the page."""
_SCOPES = {
    Scope.CONTRIBUTE: "contribute; amend, withdraw and erase its own contributions",
    Scope.MATCH: "query for matches, give opinions",
    Scope.FEED: "read the feed, which has the signals",
    Scope.REVIEW: "decide cases",
    Scope.AUDIT: "read the events and every contribution",
    Scope.ADMIN: "administer members and keys; includes review and audit",
}


@blueprint.get("")
def browse() -> Response:
    """List the members."""
    return _list_page(Form({"kind": MemberKind.PLATFORM}))


@blueprint.post("")
def add() -> Response:
    """Add a member."""
    sent = Form.sent()
    try:
        member = members.add(hashdb(), actor(), pages.read_fields(MemberIn, _sent_fields(sent)).to_domain())
    except pages.REFUSALS as error:
        return _list_page(sent.refused(error))
    notice = f"{member.name} was added. Issue a key so that its programs can use the service."
    return pages.redirect_with_notice(notice, "members.show", member_id=member.id)


@blueprint.get("/<id:member_id>")
def show(member_id: int) -> Response:
    """Show a member with its keys, and forms to change it."""
    member = members.get(hashdb(), actor(), member_id)
    return _member_page(member, _form_of(member))


@blueprint.post("/<id:member_id>")
def change(member_id: int) -> Response:
    """Change name, kind, contact or limits of a member."""
    member, sent = members.get(hashdb(), actor(), member_id), Form.sent()
    try:
        requested = pages.read_fields(MemberChangeIn, _sent_fields(sent)).to_domain()
        changed = members.change(hashdb(), actor(), member_id, requested)
        assert isinstance(changed, Member)  # Only a suspension needs a second person.
    except pages.REFUSALS as error:
        return _member_page(member, sent.refused(error))
    return pages.redirect_with_notice(f"{changed.name} was changed.", "members.show", member_id=member_id)


@blueprint.get("/keys/<id:key_id>")
def find_key(key_id: int) -> Response:
    """Redirect to the member that has this key."""
    return pages.redirect(url_for("console.members.show", member_id=members.key(hashdb(), actor(), key_id).member))


@blueprint.get("/<id:member_id>/status")
def ask_status(member_id: int) -> Response:
    """Show the effect of a suspension or reinstatement before it is done."""
    member = members.get(hashdb(), actor(), member_id)
    return pages.page(
        "member_status.html",
        member=member,
        effect=members.impact(hashdb(), actor(), member_id),
        proposals=proposals.list_on_subject(hashdb(), actor(), "member", member_id),
    )


@blueprint.post("/<id:member_id>/status")
def set_status(member_id: int) -> Response:
    """Suspend or reinstate a member, with immediate effect."""
    suspends = request.form.get("status") == MemberStatus.SUSPENDED
    status = MemberStatus.SUSPENDED if suspends else MemberStatus.ACTIVE
    member = members.change(hashdb(), actor(), member_id, MemberChange(status=status))
    if isinstance(member, Proposal):
        return pages.redirect_with_notice(pages.PROPOSED, "proposals.show", proposal_id=member.id)
    return pages.redirect_with_notice(f"{member.name} is now {member.status}.", "members.show", member_id=member_id)


@blueprint.post("/<id:member_id>/keys")
def issue_key(member_id: int) -> Response:
    """Issue a key, and show its secret once."""
    member, sent = members.get(hashdb(), actor(), member_id), Form.sent()
    expires = sent.text("expires_at")
    fields = {
        "scopes": sent.many("scopes"),
        "expires_at": f"{expires}T00:00:00Z" if expires else None,
        "hides_distances": bool(sent.text("hides_distances")),
    }
    try:
        issued = members.issue_key(hashdb(), actor(), member_id, pages.read_fields(KeyIn, fields).to_domain())
    except pages.REFUSALS as error:
        return _member_page(member, _form_of(member), sent.refused(error))
    return pages.page("key.html", member=member, key=issued.key, secret=issued.secret)


@blueprint.get("/<id:member_id>/keys/<id:key_id>/revocation")
def ask_revocation(member_id: int, key_id: int) -> Response:
    """Show the effect of a revocation before it is done."""
    member = members.get(hashdb(), actor(), member_id)
    key = members.key(hashdb(), actor(), key_id, member_id)
    use = members.key_uses(hashdb(), actor(), member_id).get(key_id)
    return pages.page("revocation.html", member=member, key=key, use=use)


@blueprint.post("/<id:member_id>/keys/<id:key_id>/revocation")
def revoke_key(member_id: int, key_id: int) -> Response:
    """Revoke a key, with effect from the next request."""
    members.revoke_key(hashdb(), actor(), key_id, member_id)
    return pages.redirect_with_notice(f"Key {key_id} was revoked.", "members.show", member_id=member_id)


def _list_page(form: Form) -> Response:
    rows = pages.read_all(partial(members.page, hashdb(), actor()))
    params, figures, uses = query(ListQuery), _figures(), _uses()
    # The columns read `activity` only when the list is sorted, so it may be filled after they are made.
    activity: dict[int, Activity] = {}
    columns = _columns(activity, figures, uses)
    if params.sort in _ORDERS_BY_ACTIVITY:
        activity |= members.activity(hashdb(), actor(), [member.id for member in rows])
    shown, list = page_of_all(rows, columns, params, "console.members.browse", first="name")
    activity |= members.activity(hashdb(), actor(), [member.id for member in shown if member.id not in activity])
    return pages.page(
        "members.html",
        members=shown,
        list=list,
        activity=activity,
        figures=figures,
        uses=uses,
        form=form,
        kinds=MemberKind,
    )


def _columns(
    activity: Mapping[int, Activity], figures: Mapping[int, MemberFigures], uses: Mapping[int, KeyUse]
) -> tuple[Column[Member], ...]:
    """The columns of the list; each mapping is by member id."""

    def share_in_hour(figure: MemberFigures) -> float | None:
        """The share contributed within an hour of the removal, of those that state its time."""
        return figure.in_hour / figure.timed if figure.timed else None

    def changes_behind(use: KeyUse | None) -> int | None:
        return use.lag.changes if use and use.lag else None

    return (
        Column("Member", "name", lambda member: member.name.casefold(), ascending_first=True),
        Column("Active", "active", lambda member: figures[member.id].active, number=True),
        Column("Added", "added", lambda member: activity[member.id].contributions, number=True),
        Column("Within 1\N{NO-BREAK SPACE}h", "timely", lambda member: share_in_hour(figures[member.id]), number=True),
        Column("Queries", "queries", lambda member: figures[member.id].queries, number=True),
        Column("Hits", "hits", lambda member: figures[member.id].hits, number=True),
        Column("Opinions", "opinions", lambda member: activity[member.id].opinions, number=True),
        Column("Precision", "precision", lambda member: figures[member.id].precision.share, ascending_first=True),
        Column("Last contribution", "last", lambda member: activity[member.id].last),
        Column("Key last used", "used", lambda member: uses[member.id].last_use.used_at if member.id in uses else None),
        Column("Feed", "behind", lambda member: changes_behind(uses.get(member.id))),
    )


def _member_page(member: Member, form: Form, key_form: Form | None = None) -> Response:
    activity = members.activity(hashdb(), actor(), [member.id])[member.id]
    return pages.page(
        "member.html",
        member=member,
        activity=activity,
        figures=_figures()[member.id],
        proposals=proposals.list_on_subject(hashdb(), actor(), "member", member.id),
        keys=_keys(member.id),
        upstream=upstreams.of_member(hashdb(), actor(), member.id),
        hooks=webhooks.page(hashdb(), actor(), 0, MAX_WEBHOOKS, member_id=member.id),
        uses=members.key_uses(hashdb(), actor(), member.id),
        form=form,
        key_form=key_form or Form(),
        ticked=key_form.many("scopes") if key_form else (Scope.CONTRIBUTE, Scope.MATCH),
        kinds=MemberKind,
        scopes=_SCOPES.items(),
    )


def _figures() -> dict[int, MemberFigures]:
    """By member id, the figures of the period `members.ACTIVITY_PERIOD`."""
    return {figures.member: figures for figures in overviews.members(hashdb(), actor(), members.ACTIVITY_PERIOD.days)}


def _uses() -> dict[int, KeyUse]:
    """By member id, the use of its most recently used key, and the lag of its key that is furthest behind the feed."""
    latest: dict[int, KeyUse] = {}
    for key_use in members.key_uses(hashdb(), actor()).values():
        before = latest.setdefault(key_use.member, key_use)
        last_use = max(before.last_use, key_use.last_use, key=lambda use: use.used_at)
        lags = [use.lag for use in (before, key_use) if use.lag]
        lag = max(lags, key=lambda lag: lag.changes, default=None)
        latest[key_use.member] = KeyUse(last_use, key_use.member, lag)
    return latest


def _keys(member: int) -> list[Key]:
    """The keys of a member: valid ones first, then newest first."""
    now, keys = hashdb().now(), pages.read_all(partial(members.keys, hashdb(), actor(), member))
    return sorted(keys, key=lambda key: (not key.valid(now), -key.id))


def _form_of(member: Member) -> Form:
    """The form with the present values of a member."""
    limit, factor = member.limits.contributions_per_day, member.limits.budget_factor
    fields = {"name": member.name, "kind": str(member.kind), "contact": member.contact}
    limits = {
        "limits.contributions_per_day": "" if limit is None else str(limit),
        "limits.budget_factor": "" if factor == 1 else str(factor),
    }
    return Form(fields | limits)


def _sent_fields(sent: Form) -> dict[str, object]:
    """The fields of a form as JSON fields of a member."""
    factor = sent.number("limits.budget_factor")
    limits = {
        "contributions_per_day": sent.number("limits.contributions_per_day"),
        "budget_factor": 1 if factor is None else factor,
    }
    return {**{name: sent.text(name) for name in ("name", "kind", "contact")}, "limits": limits}
