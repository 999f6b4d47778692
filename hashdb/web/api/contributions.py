"""/v1/contributions"""

from __future__ import annotations

from dataclasses import replace

from flask import Response

from hashdb.domain.accounts.members import Scope
from hashdb.domain.contributions import Draft
from hashdb.domain.signals import Profile
from hashdb.hashing import Mode
from hashdb.service.contributions import contributions
from hashdb.service.matching import benign
from hashdb.web import media
from hashdb.web.context import (
    actor,
    answer,
    body,
    hashdb,
    no_content,
    query,
    read_idempotency_key,
    validation_context,
)
from hashdb.web.openapi import ApiBlueprint, operation
from hashdb.wire import read
from hashdb.wire.contributions import (
    AmendmentIn,
    ContributedMediaIn,
    ContributionOut,
    ContributionsIn,
    ContributionsOut,
    ReceiptOut,
    WithdrawalIn,
    read_drafts,
    read_metadata,
)
from hashdb.wire.pages import ContributeQuery, ContributionsQuery, EraseQuery, MediaQuery

blueprint = ApiBlueprint("contributions", __name__, url_prefix="/v1/contributions", tag="Contribute")


@blueprint.post("")
@operation(
    {201: ReceiptOut},
    scopes=[Scope.CONTRIBUTE],
    reads=ContributionsIn,
    takes=ContributeQuery,
    idempotent=True,
    refuses=[409, 429],
)
def contribute() -> Response:
    """Contribute hashes of removed items.

    All or none. When this answers, they are durable and the next match, of any worker, finds them.
    """
    imported = bool(query(ContributeQuery).imported)
    text = body()
    key = read_idempotency_key(text, *([b"imported"] if imported else ()))
    receipt = contributions.repeated(hashdb(), actor(), key)
    if receipt is None:
        drafts = read_drafts(text, replace(validation_context(), imported=imported))
        receipt = contributions.contribute(hashdb(), actor(), drafts, key, checked=True)
    return answer(ReceiptOut.from_domain(receipt), 201)


@blueprint.post("/media")
@operation(
    {201: ReceiptOut},
    scopes=[Scope.CONTRIBUTE],
    form=ContributedMediaIn,
    takes=MediaQuery,
    idempotent=True,
    refuses=[409, 429],
)
def contribute_media() -> Response:
    """Contribute pictures: each is hashed here, in memory, and not kept."""
    profile = query(MediaQuery).profile
    form = media.read_form()
    key = read_idempotency_key(form.metadata.encode(), *form.files, *([profile.encode()] if profile else ()))
    receipt = contributions.repeated(hashdb(), actor(), key)
    if receipt is None:
        receipt = contributions.contribute(hashdb(), actor(), _drafts(form, profile), key, checked=True)
    return answer(ReceiptOut.from_domain(receipt), 201)


@blueprint.get("")
@operation({200: ContributionsOut}, takes=ContributionsQuery)
def browse() -> Response:
    """List your own contributions, or with scope audit all."""
    params = query(ContributionsQuery)
    rows = contributions.page(hashdb(), actor(), params.to_domain(), params.after, params.limit + 1)
    return answer(ContributionsOut.of(rows, params.limit))


@blueprint.get("/<id:contribution_id>")
@operation({200: ContributionOut}, refuses=[404])
def show(contribution_id: int) -> Response:
    """Show one contribution: yours, one that you were answered as a match, any active one with feed, any with audit.

    With scope review any with a case. The member is 0, without a name, to keys without feed, audit or review.
    """
    contribution = contributions.get(hashdb(), actor(), contribution_id)
    return answer(ContributionOut.from_domain(contribution))


@blueprint.patch("/<id:contribution_id>")
@operation({200: ContributionOut}, scopes=[Scope.CONTRIBUTE], reads=AmendmentIn, refuses=[404, 409])
def amend(contribution_id: int) -> Response:
    """Change labels, severity, basis, context, incident or expiry of your contribution."""
    change = read(AmendmentIn, body(), validation_context()).to_domain()
    return answer(ContributionOut.from_domain(contributions.amend(hashdb(), actor(), contribution_id, change)))


@blueprint.post("/<id:contribution_id>/withdrawal")
@operation({200: ContributionOut}, scopes=[Scope.CONTRIBUTE], reads=WithdrawalIn, refuses=[404, 409])
def withdraw(contribution_id: int) -> Response:
    """Take your contribution back: the next match no longer has it."""
    reason = read(WithdrawalIn, body(), validation_context()).reason
    return answer(ContributionOut.from_domain(contributions.withdraw(hashdb(), actor(), contribution_id, reason)))


@blueprint.delete("/<id:contribution_id>/content")
@operation({204: None}, scopes=[Scope.CONTRIBUTE, Scope.ADMIN], takes=EraseQuery, refuses=[404, 409])
def erase(contribution_id: int) -> Response:
    """Erase signals, reference and old values of a contribution for good; its events stay in the log.

    Nobody is shown the signals again; they are kept for 90 days after the withdrawal, to tell the readers of other
    systems' protocols by them, unless `now` is 1. That is refused of what is retired, but with scope admin.
    """
    at_once = bool(query(EraseQuery).now)
    contributions.erase(hashdb(), actor(), contribution_id, at_once=at_once)
    return no_content()


def _drafts(form: media.MediaForm, profile: Profile | None) -> list[Draft]:
    """What the pictures of a form are, hashed. Raises InvalidInput with every fault, at `file[i]` and `metadata[i]`."""
    metadata = read_metadata(form.metadata, len(form.files), validation_context())
    modes = [Mode(profile or Profile.of_severity(item.severity)) for item in metadata]
    pictures = media.hash_pictures(form.files, modes)
    own = len(hashdb().rules.algorithms)
    drafts = [
        item.to_draft(benign.without_benign_variants(hashdb(), picture.signals, own), picture.quality)
        for item, picture in zip(metadata, pictures, strict=True)
    ]
    contributions.check(hashdb(), drafts, hashdb().now(), hashdb().intake.rules(), at="file")
    return drafts
