"""/console/webhooks: the members' webhooks, their deliveries, and a test message."""

from __future__ import annotations

from flask import Response, request, url_for

from hashdb.domain.accounts.members import Scope
from hashdb.domain.sharing.webhooks import MAX_KEPT_DELIVERIES, Webhook, WebhookChange
from hashdb.errors import LimitReached, WebhooksOff
from hashdb.service.accounts import members
from hashdb.service.sharing import webhooks
from hashdb.web.console import pages
from hashdb.web.console.pages import Form
from hashdb.web.context import actor, hashdb, query
from hashdb.wire.pages import PageQuery

blueprint = pages.blueprint_of("webhooks", __name__)
_SHOWN = 100


@blueprint.get("")
def browse() -> Response:
    """List the webhooks of all members."""
    params = query(PageQuery)
    rows, after = pages.split_page(webhooks.page(hashdb(), actor(), params.after, params.limit + 1), params.limit)
    return pages.page(
        "webhooks.html",
        webhooks=rows,
        names={member: members.get(hashdb(), actor(), member).name for member in {webhook.member for webhook in rows}},
        next=after,
        state=state,
    )


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
        return _webhook_page(webhook_id, Form().refused(error), status=422)
    return pages.redirect_with_notice(_address(webhook_id), "The service sends a test message: see the table below.")


@blueprint.post("/<id:webhook_id>/status")
def set_status(webhook_id: int) -> Response:
    """Enable or disable a webhook."""
    actor().require(Scope.ADMIN)
    enabled = request.form.get("enabled") == "yes"
    webhooks.change(hashdb(), actor(), webhook_id, WebhookChange(enabled=enabled))
    state_text = "enabled, and continues where it stopped" if enabled else "disabled"
    return pages.redirect_with_notice(_address(webhook_id), f"Webhook {webhook_id} is {state_text}.")


@blueprint.post("/<id:webhook_id>/deliveries/<id:delivery_id>")
def redeliver(webhook_id: int, delivery_id: int) -> Response:
    """Send a delivery again, with the same id."""
    actor().require(Scope.ADMIN)
    try:
        webhooks.redeliver(hashdb(), actor(), webhook_id, delivery_id)
    except WebhooksOff as error:
        return _webhook_page(webhook_id, Form().refused(error), status=422)
    return pages.redirect_with_notice(_address(webhook_id), f"Delivery {delivery_id} is sent again.")


def state(webhook: Webhook) -> str:
    """The state of a webhook: `active`, `failing` or `disabled`."""
    if not webhook.enabled:
        return "disabled"
    return "active" if webhook.failing_since is None else "failing"


def _webhook_page(webhook_id: int, form: Form, status: int = 200) -> Response:
    webhook = webhooks.get(hashdb(), actor(), webhook_id)
    kept = webhooks.deliveries(hashdb(), actor(), webhook_id, None, 0, MAX_KEPT_DELIVERIES)
    return pages.page(
        "webhook.html",
        status=status,
        webhook=webhook,
        member=members.get(hashdb(), actor(), webhook.member),
        deliveries=kept[: -_SHOWN - 1 : -1],
        kept=len(kept),
        form=form,
        state=state,
    )


def _address(id: int) -> str:
    return url_for("console.webhooks.show", webhook_id=id)
