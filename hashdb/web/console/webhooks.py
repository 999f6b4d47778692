"""/console/webhooks: the members' webhooks, their deliveries, and a test message."""

from __future__ import annotations

from functools import partial

from flask import Response, request

from hashdb.domain.accounts.members import Scope
from hashdb.domain.sharing.webhooks import MAX_KEPT_DELIVERIES, Delivery, Webhook, WebhookChange
from hashdb.errors import LimitReached, WebhooksOff
from hashdb.service.accounts import members
from hashdb.service.sharing import webhooks
from hashdb.web.console import pages
from hashdb.web.console.lists import Column, page_of_all
from hashdb.web.console.pages import Form
from hashdb.web.context import actor, hashdb, query
from hashdb.wire.pages import ListQuery

blueprint = pages.blueprint_of("webhooks")
_DELIVERY_COLUMNS: tuple[Column[Delivery], ...] = (
    Column("Delivery", "delivery", lambda delivery: delivery.id, number=True),
    Column("Created", "created", lambda delivery: (delivery.message.at, delivery.id)),
    Column("Topic", "topic", lambda delivery: (str(delivery.message.topic), delivery.id), ascending_first=True),
    Column("Outcome", "outcome", lambda delivery: (str(delivery.outcome), delivery.id), ascending_first=True),
    Column("Response"),
    Column("Actions"),
)


@blueprint.get("")
def browse() -> Response:
    """List the webhooks of all members."""
    rows = pages.read_all(partial(webhooks.page, hashdb(), actor()))
    # Read after the webhooks: a member and its webhook may be added at any time.
    names = {int(id): name for id, name in pages.member_choices()}
    columns: tuple[Column[Webhook], ...] = (
        Column("Webhook", "webhook", lambda webhook: webhook.id, number=True),
        Column(
            "Member", "member", lambda webhook: (names[webhook.member].casefold(), webhook.id), ascending_first=True
        ),
        Column("State", "state", lambda webhook: (state(webhook), webhook.id)),
        Column("Topics"),
        Column("Address"),
        Column("Added", "added", lambda webhook: webhook.id),
    )
    shown, list = page_of_all(rows, columns, query(ListQuery), "console.webhooks.browse", first="webhook")
    off = hashdb().rules.webhook_egress is None
    return pages.page("webhooks.html", webhooks=shown, list=list, names=names, state=state, off=off)


@blueprint.get("/<id:webhook_id>")
def show(webhook_id: int) -> Response:
    """Show a webhook and its last deliveries."""
    return _webhook_page(webhook_id, Form())


@blueprint.post("/<id:webhook_id>/test")
def test(webhook_id: int) -> Response:
    """Send a test message without content."""
    actor().require(Scope.ADMIN)
    try:
        webhooks.test(hashdb(), actor(), webhook_id)
    except (LimitReached, WebhooksOff) as error:
        return _webhook_page(webhook_id, Form().refused(error))
    return _redirect(webhook_id, "The service sends a test message: see the table below.")


@blueprint.post("/<id:webhook_id>/status")
def set_status(webhook_id: int) -> Response:
    """Enable or disable a webhook."""
    actor().require(Scope.ADMIN)
    enabled = request.form.get("enabled") == "yes"
    webhooks.change(hashdb(), actor(), webhook_id, WebhookChange(enabled=enabled))
    state_text = "enabled, and continues where it stopped" if enabled else "disabled"
    return _redirect(webhook_id, f"Webhook {webhook_id} is {state_text}.")


@blueprint.post("/<id:webhook_id>/deliveries/<id:delivery_id>")
def redeliver(webhook_id: int, delivery_id: int) -> Response:
    """Send a delivery again, with the same id."""
    actor().require(Scope.ADMIN)
    try:
        webhooks.redeliver(hashdb(), actor(), webhook_id, delivery_id)
    except WebhooksOff as error:
        return _webhook_page(webhook_id, Form().refused(error))
    return _redirect(webhook_id, f"Delivery {delivery_id} is sent again.")


def state(webhook: Webhook) -> str:
    """The state of a webhook: `active`, `failing` or `disabled`."""
    if not webhook.enabled:
        return "disabled"
    return "active" if webhook.failing_since is None else "failing"


def _webhook_page(webhook_id: int, form: Form) -> Response:
    webhook = webhooks.get(hashdb(), actor(), webhook_id)
    latest = webhooks.deliveries(hashdb(), actor(), webhook_id, outcome=None, after=0, limit=MAX_KEPT_DELIVERIES)
    deliveries, list = page_of_all(
        latest,
        _DELIVERY_COLUMNS,
        query(ListQuery),
        "console.webhooks.show",
        first="delivery",
        fields={"webhook_id": webhook_id},
    )
    return pages.page(
        "webhook.html",
        webhook=webhook,
        member=members.get(hashdb(), actor(), webhook.member),
        deliveries=deliveries,
        list=list,
        form=form,
        state=state,
    )


def _redirect(webhook_id: int, notice: str) -> Response:
    return pages.redirect_with_notice(notice, "webhooks.show", webhook_id=webhook_id)
