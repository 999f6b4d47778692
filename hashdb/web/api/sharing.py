"""Sharing: the feed at /v1/changes, /v1/webhooks with their deliveries, and the reversals of matches.

The docstrings of the views are the descriptions in the OpenAPI document.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from flask import Response, request

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.sharing.feed import Changes
from hashdb.service import HashDB
from hashdb.service.sharing import feed, webhooks
from hashdb.service.stats import counts
from hashdb.web.context import actor, answer, body, hashdb, list_page, query, validation_context
from hashdb.web.routes import ApiBlueprint, operation
from hashdb.wire import read
from hashdb.wire.pages import ChangesQuery, DeliveriesQuery, PageQuery
from hashdb.wire.review import ReversalsOut
from hashdb.wire.sharing.feed import ChangesEnd, ChangesOut, change_line
from hashdb.wire.sharing.webhooks import DeliveriesOut, DeliveryOut, WebhookChangeIn, WebhookIn, WebhookOut, WebhooksOut

changes_api = ApiBlueprint("changes", tag="Feed", about="For members: keep a local copy, and match in it.")

_DEFAULT_LIMIT = 1000
"""Changes in a response if the client sets no limit, and in each read of a stream."""
_RETRY_AFTER = 5
"""Seconds after which a client should ask again, if too many requests wait for a change already."""
_NDJSON = "application/x-ndjson"
"""The media type of a stream: one JSON document per line."""


@changes_api.get("")
@operation({200: ChangesOut}, any_scope=[Scope.FEED], query=ChangesQuery, streams=[_NDJSON], errors=[410])
def list_changes() -> Response:
    """Read the changes of the feed.

    Returns what changed in the set of active contributions after a checkpoint, so that you can keep a local copy. Start
    with `after=0`, and continue with the `checkpoint` of the response. With `Accept: application/x-ndjson` the response
    has one change per line, and a last line with `checkpoint`, `more` and `epoch`. If the log was replaced, the
    response is 410: start again with `after=0`. With `wait`, the service holds an empty response until something
    changes; if too many requests wait, it responds at once, and `Retry-After` says when to ask again.
    """
    params = query(ChangesQuery)
    page = feed.read(hashdb(), actor(), params.after, params.limit or _DEFAULT_LIMIT, params.epoch)
    could_wait = True
    if params.wait and not page.changes:
        could_wait = feed.wait(hashdb(), actor(), page.checkpoint, params.wait)
        page = feed.read(hashdb(), actor(), params.after, params.limit or _DEFAULT_LIMIT, params.epoch)
    if request.accept_mimetypes.best_match(["application/json", _NDJSON]) == _NDJSON:
        response = Response(_stream(hashdb(), actor(), page, params.limit is None), mimetype=_NDJSON)
    else:
        response = answer(ChangesOut.from_domain(page))
    if not (could_wait or page.changes):
        # Without the header, the client would ask again at once, in a loop.
        response.headers["Retry-After"] = str(_RETRY_AFTER)
    return response


def _stream(db: HashDB, reader: Actor, page: Changes, to_the_end: bool) -> Iterator[str]:
    """The lines of a page of changes, with `to_the_end` those of all later pages too, and the last line.

    `db` and `reader` are arguments because a response is sent outside of the context of its request.
    """
    while True:
        yield "".join(map(change_line, page.changes))
        if not (page.more and to_the_end):
            break
        page = feed.read(db, reader, page.checkpoint, _DEFAULT_LIMIT, page.epoch)
    end = ChangesEnd.build(checkpoint=page.checkpoint, more=page.more, epoch=page.epoch)
    yield f"{end.json_text()}\n"


webhooks_api = ApiBlueprint("webhooks", tag="Webhooks", about="For members: receive a message when something changes.")


@webhooks_api.get("")
@operation({200: WebhooksOut}, query=PageQuery)
def list_webhooks() -> WebhooksOut:
    """List webhooks.

    Returns the webhooks of your member. With scope `audit`, returns those of all members.
    """
    return list_page(WebhooksOut, query(PageQuery), partial(webhooks.page, hashdb(), actor()))


@webhooks_api.post("")
@operation({201: WebhookOut}, body=WebhookIn, errors=[409])
def create_webhook() -> WebhookOut:
    """Create a webhook.

    It reports what happens from now on. The topic `feed.changed` needs a key with scope `feed`, `match.reversed` one
    with scope `match`, and `case.due` one with scope `review`. Only this response has the secret. A member has at most
    10 webhooks; more get 409.
    """
    draft = read(WebhookIn, body(), validation_context()).to_domain()
    return WebhookOut.from_issued(webhooks.add(hashdb(), actor(), draft))


@webhooks_api.get("/<id:webhook_id>")
@operation({200: WebhookOut}, errors=[404])
def get_webhook(webhook_id: int) -> WebhookOut:
    """Get one webhook.

    Has its address, topics and state, and no secret.
    """
    return WebhookOut.from_domain(webhooks.get(hashdb(), actor(), webhook_id))


@webhooks_api.patch("/<id:webhook_id>")
@operation({200: WebhookOut}, body=WebhookChangeIn, errors=[404])
def update_webhook(webhook_id: int) -> WebhookOut:
    """Change, enable or disable a webhook.

    Only the fields in the body change. A webhook that you enable again continues where it stopped. With scope `admin`,
    you can enable or disable the webhook of any member.
    """
    requested = read(WebhookChangeIn, body(), validation_context()).to_domain()
    return WebhookOut.from_domain(webhooks.change(hashdb(), actor(), webhook_id, requested))


@webhooks_api.delete("/<id:webhook_id>")
@operation({204: None}, errors=[404])
def delete_webhook(webhook_id: int) -> None:
    """Delete a webhook.

    Also deletes the list of its deliveries. With scope `admin`, you can delete the webhook of any member.
    """
    webhooks.delete(hashdb(), actor(), webhook_id)


@webhooks_api.post("/<id:webhook_id>/secret")
@operation({201: WebhookOut}, errors=[404])
def renew_webhook_secret(webhook_id: int) -> WebhookOut:
    """Renew the secret of a webhook.

    Messages are signed with both secrets for 24 hours. Only this response has the new secret.
    """
    return WebhookOut.from_issued(webhooks.renew(hashdb(), actor(), webhook_id))


@webhooks_api.post("/<id:webhook_id>/test")
@operation({202: DeliveryOut}, errors=[404])
def test_webhook(webhook_id: int) -> DeliveryOut:
    """Send a test message.

    Sends `webhook.tested` once. Get the delivery some seconds later to see its outcome.
    """
    return DeliveryOut.from_domain(webhooks.test(hashdb(), actor(), webhook_id))


@webhooks_api.get("/<id:webhook_id>/deliveries")
@operation({200: DeliveriesOut}, query=DeliveriesQuery, errors=[404])
def list_deliveries(webhook_id: int) -> DeliveriesOut:
    """List the deliveries of a webhook.

    Includes those that wait. The service keeps the last 1,000 of a webhook, for 30 days.
    """
    params = query(DeliveriesQuery)
    return list_page(DeliveriesOut, params, partial(webhooks.deliveries, hashdb(), actor(), webhook_id, params.outcome))


@webhooks_api.get("/<id:webhook_id>/deliveries/<id:delivery_id>")
@operation({200: DeliveryOut}, errors=[404])
def get_delivery(webhook_id: int, delivery_id: int) -> DeliveryOut:
    """Get one delivery.

    Has its message, its outcome, and the result of the last attempt.
    """
    return DeliveryOut.from_domain(webhooks.delivery(hashdb(), actor(), webhook_id, delivery_id))


@webhooks_api.post("/<id:webhook_id>/deliveries/<id:delivery_id>/redelivery")
@operation({202: DeliveryOut}, errors=[404])
def resend_delivery(webhook_id: int, delivery_id: int) -> DeliveryOut:
    """Send a delivery again.

    The service sends the same message at once, with the same id.
    """
    return DeliveryOut.from_domain(webhooks.redeliver(hashdb(), actor(), webhook_id, delivery_id))


reversals_api = ApiBlueprint("reversals", tag="Reversals", about="For members: learn which matches were wrong.")


@reversals_api.get("")
@operation({200: ReversalsOut}, any_scope=[Scope.MATCH], query=PageQuery)
def list_reversals() -> ReversalsOut:
    """List matches that were reversed later.

    Returns contributions that were returned to you as matches, and that have been withdrawn, retired or quarantined
    since, so that you can restore what you removed. At the end, `next` is null: continue later after the last `seq`. An
    event is listed three seconds after it happened.
    """
    return list_page(ReversalsOut, query(PageQuery), partial(counts.reversals, hashdb(), actor()))
