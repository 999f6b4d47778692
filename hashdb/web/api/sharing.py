"""Sharing: the feed at /v1/changes, and /v1/webhooks."""

from __future__ import annotations

from collections.abc import Iterator

from flask import Response, request

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.sharing.feed import Changes
from hashdb.service import HashDB
from hashdb.service.sharing import feed, webhooks
from hashdb.service.stats import counts
from hashdb.web.context import actor, answer, body, hashdb, no_content, query, validation_context
from hashdb.web.openapi import ApiBlueprint, operation
from hashdb.wire import read
from hashdb.wire.pages import ChangesQuery, DeliveriesQuery, PageQuery
from hashdb.wire.review import ReversalsOut
from hashdb.wire.sharing.feed import (
    ChangesEnd,
    ChangesOut,
    DeliveriesOut,
    DeliveryOut,
    WebhookChangeIn,
    WebhookIn,
    WebhookOut,
    WebhooksOut,
    line,
)

changes_api = ApiBlueprint("changes", __name__, url_prefix="/v1/changes", tag="Feed")

_PAGE = 1000
_AGAIN = 5
"""Seconds after which a reader may ask again that found no place to wait."""
_LINES = "application/x-ndjson"


@changes_api.get("")
@operation({200: ChangesOut}, scopes=[Scope.FEED], takes=ChangesQuery, streams=[_LINES], refuses=[410])
def follow() -> Response:
    """Read what changed in the set of active contributions, to match at your side.

    With `Accept: application/x-ndjson` one change a line, and a last line with checkpoint, more and epoch.
    """
    params = query(ChangesQuery)
    page = feed.read(hashdb(), actor(), params.after, params.limit or _PAGE, params.epoch)
    had_place = True
    if params.wait and not page.changes:
        had_place = feed.wait(hashdb(), actor(), page.checkpoint, params.wait)
        page = feed.read(hashdb(), actor(), params.after, params.limit or _PAGE, params.epoch)
    if request.accept_mimetypes.best_match(["application/json", _LINES]) == _LINES:
        response = Response(_stream(hashdb(), actor(), page, params.limit is None), mimetype=_LINES)
    else:
        response = answer(ChangesOut.from_domain(page))
    if not (had_place or page.changes):
        # Or it would ask again at once, and again.
        response.headers["Retry-After"] = str(_AGAIN)
    return response


def _stream(db: HashDB, reader: Actor, page: Changes, onwards: bool) -> Iterator[str]:
    while True:
        yield "".join(map(line, page.changes))
        if not (page.more and onwards):
            break
        page = feed.read(db, reader, page.checkpoint, _PAGE, page.epoch)
    end = ChangesEnd.model_construct(checkpoint=page.checkpoint, more=page.more, epoch=page.epoch)
    yield f"{end.json_text()}\n"


webhooks_api = ApiBlueprint("webhooks", __name__, url_prefix="/v1/webhooks", tag="Webhooks")


@webhooks_api.get("")
@operation({200: WebhooksOut}, takes=PageQuery)
def browse() -> Response:
    """List your webhooks; with `audit`, everybody's."""
    params = query(PageQuery)
    rows = webhooks.page(hashdb(), actor(), params.after, params.limit + 1)
    return answer(WebhooksOut.of(rows, params.limit))


@webhooks_api.post("")
@operation({201: WebhookOut}, reads=WebhookIn, refuses=[409])
def add() -> Response:
    """Make a webhook, which tells of what happens from now on.

    `feed.changed` takes a key with scope `feed`, `match.reversed` one with `match`. The secret is in this answer and
    nowhere else.
    """
    draft = read(WebhookIn, body(), validation_context()).to_domain()
    return answer(WebhookOut.from_issued(webhooks.add(hashdb(), actor(), draft)), 201)


@webhooks_api.get("/<id:webhook_id>")
@operation({200: WebhookOut}, refuses=[404])
def show(webhook_id: int) -> Response:
    """Show one webhook."""
    return answer(WebhookOut.from_domain(webhooks.get(hashdb(), actor(), webhook_id)))


@webhooks_api.patch("/<id:webhook_id>")
@operation({200: WebhookOut}, reads=WebhookChangeIn, refuses=[404])
def change(webhook_id: int) -> Response:
    """Change a webhook; one that is enabled again goes on where it was.

    With `admin`, anybody's may be enabled or disabled.
    """
    requested = read(WebhookChangeIn, body(), validation_context()).to_domain()
    return answer(WebhookOut.from_domain(webhooks.change(hashdb(), actor(), webhook_id, requested)))


@webhooks_api.delete("/<id:webhook_id>")
@operation({204: None}, refuses=[404])
def delete(webhook_id: int) -> Response:
    """Delete a webhook and the list of what it delivered; with `admin`, anybody's."""
    webhooks.delete(hashdb(), actor(), webhook_id)
    return no_content()


@webhooks_api.post("/<id:webhook_id>/secret")
@operation({201: WebhookOut}, refuses=[404])
def renew(webhook_id: int) -> Response:
    """Give a webhook another secret; the one before signs beside it for 24 hours.

    It is in this answer and nowhere else.
    """
    return answer(WebhookOut.from_issued(webhooks.renew(hashdb(), actor(), webhook_id)), 201)


@webhooks_api.post("/<id:webhook_id>/test")
@operation({202: DeliveryOut}, refuses=[404])
def test(webhook_id: int) -> Response:
    """Have a `webhook.tested` sent, once; the delivery tells within seconds what became of it."""
    return answer(DeliveryOut.from_domain(webhooks.test(hashdb(), actor(), webhook_id)), 202)


@webhooks_api.get("/<id:webhook_id>/deliveries")
@operation({200: DeliveriesOut}, takes=DeliveriesQuery, refuses=[404])
def deliveries(webhook_id: int) -> Response:
    """List what was delivered to a webhook, and what waits: the last thousand, of thirty days."""
    params = query(DeliveriesQuery)
    rows = webhooks.deliveries(hashdb(), actor(), webhook_id, params.outcome, params.after, params.limit + 1)
    return answer(DeliveriesOut.of(rows, params.limit))


@webhooks_api.get("/<id:webhook_id>/deliveries/<id:delivery_id>")
@operation({200: DeliveryOut}, refuses=[404])
def delivery(webhook_id: int, delivery_id: int) -> Response:
    """Show one delivery."""
    return answer(DeliveryOut.from_domain(webhooks.delivery(hashdb(), actor(), webhook_id, delivery_id)))


@webhooks_api.post("/<id:webhook_id>/deliveries/<id:delivery_id>/redelivery")
@operation({202: DeliveryOut}, refuses=[404])
def redeliver(webhook_id: int, delivery_id: int) -> Response:
    """Send a delivery again, at once, with the id that it had."""
    return answer(DeliveryOut.from_domain(webhooks.redeliver(hashdb(), actor(), webhook_id, delivery_id)), 202)


reversals_api = ApiBlueprint("reversals", __name__, url_prefix="/v1/reversals", tag="Reversals")


@reversals_api.get("", endpoint="browse")
@operation({200: ReversalsOut}, scopes=[Scope.MATCH], takes=PageQuery)
def browse_reversals() -> Response:
    """List what was answered to you as a match and has been withdrawn, retired or quarantined since.

    So that you can restore what you took down. `next` is null at the end; go on later after the last `seq`.
    An event is listed three seconds after it happened.
    """
    params = query(PageQuery)
    rows = counts.reversals(hashdb(), actor(), params.after, params.limit + 1)
    return answer(ReversalsOut.of(rows, params.limit))
