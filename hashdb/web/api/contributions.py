"""/v1/contributions"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from flask import Response

from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.contributions import Draft, IdempotencyKey
from hashdb.domain.signals import Profile
from hashdb.hashing import Mode
from hashdb.http_server.media import HashedFile
from hashdb.service import HashDB
from hashdb.service.contributions import additions, contributions
from hashdb.service.matching import benign
from hashdb.web import media
from hashdb.web.context import actor, answer, body, hashdb, list_page, query, read_idempotency_key, validation_context
from hashdb.web.routes import ApiBlueprint, operation
from hashdb.wire import ValidationContext, read
from hashdb.wire.additions import AdditionsIn, LookupIn, SignalsIn
from hashdb.wire.contributions import ContributionOut, ContributionsOut, ReceiptOut
from hashdb.wire.drafts import AmendmentIn, ContributionsIn, MetadataIn, WithdrawalIn, read_drafts, read_metadata
from hashdb.wire.files import ContributedMediaIn
from hashdb.wire.frames import FramesOut
from hashdb.wire.jobs import JobOut
from hashdb.wire.pages import ContributeQuery, ContributionsQuery, EraseQuery, MediaQuery, PageQuery

blueprint = ApiBlueprint(
    "contributions",
    tag="Contribute",
    about="For members: contribute hashes of removed items; read, change, withdraw and erase them.",
)


@blueprint.post("")
@operation(
    {201: ReceiptOut},
    any_scope=[Scope.CONTRIBUTE],
    body=ContributionsIn,
    query=ContributeQuery,
    idempotent=True,
    errors=[409, 429],
)
def create_contributions() -> ReceiptOut:
    """Contribute hashes of removed items.

    Send 1 to 1,000 drafts: the service stores all of them or none. When it responds, they are durable, and the next
    match of any worker finds them. A draft whose set of signals you already have active is not stored again: the
    existing contribution is returned, with `known` true.
    """
    imported = bool(query(ContributeQuery).imported)
    text = body(may_have_frames=True)
    key = read_idempotency_key(text, *([b"imported"] if imported else ()))
    return contribute(hashdb(), actor(), text, key, replace(validation_context(), imported=imported))


def contribute(
    db: HashDB, caller: Actor, text: bytes, key: IdempotencyKey | None, context: ValidationContext
) -> ReceiptOut:
    """Record the drafts of a body, once for an idempotency key. Raises what reading and recording them raises."""
    receipt = contributions.receipt_of_repeated(db, caller, key)
    if receipt is None:
        # `checked`: the drafts were checked against `context` as they were read.
        receipt = contributions.contribute(db, caller, read_drafts(text, context), key, checked=True)
    return ReceiptOut.from_domain(receipt)


@blueprint.post("/media")
@operation(
    {201: ReceiptOut, 202: JobOut},
    any_scope=[Scope.CONTRIBUTE],
    form=ContributedMediaIn,
    query=MediaQuery,
    idempotent=True,
    errors=[409, 429],
)
def contribute_pictures() -> Response:
    """Contribute pictures, videos and documents.

    Send 1 to 32 files. The service hashes each one in a sandbox, and never stores it: pictures and documents are in
    memory only, and videos in a temporary file without a name. A video is contributed with its frames, its duration
    and the digests of its file, a document or a text with its frames and these digests, a picture without a digest. If
    it takes long, the response is 202 with a job. If the operator does not accept files, or no documents and texts,
    the response is 403.
    """
    profile = query(MediaQuery).profile
    form = media.read_form()
    # A repeated request has the same metadata, files and profile: the key has their digest.
    key = read_idempotency_key(form.metadata.encode(), *form.files, *([profile.encode()] if profile else ()))
    receipt = contributions.receipt_of_repeated(hashdb(), actor(), key)
    if receipt is not None:
        return answer(ReceiptOut.from_domain(receipt), 201)
    db, metadata = hashdb(), read_metadata(form.metadata, len(form.files), validation_context())

    def finish(caller: Actor, hashed: Sequence[HashedFile]) -> str:
        recorded = contributions.contribute(db, caller, _drafts(db, metadata, hashed), key, checked=True)
        receipt = ReceiptOut.from_domain(recorded)
        items = [
            item if file.incomplete is None else item.model_copy(update={"incomplete": file.incomplete})
            for item, file in zip(receipt.contributions, hashed, strict=True)
        ]
        return receipt.model_copy(update={"contributions": items}).json_text()

    modes = [Mode(profile or Profile.of_severity(item.severity)) for item in metadata]
    return media.answer_files(form.files, finish, modes, status=201)


@blueprint.get("")
@operation({200: ContributionsOut}, query=ContributionsQuery)
def list_contributions() -> ContributionsOut:
    """List contributions.

    Returns your own contributions in the order of their ids. With scope `audit`, returns those of all members.
    """
    params = query(ContributionsQuery)
    return list_page(ContributionsOut, params, partial(contributions.page, hashdb(), actor(), params.to_domain()))


@blueprint.get("/<id:contribution_id>")
@operation({200: ContributionOut}, errors=[404])
def get_contribution(contribution_id: int) -> ContributionOut:
    """Get one contribution.

    You see your own contributions, and those that were returned to your member as matches. With scope `feed` you see
    any active one, with `review` any that has a case, with `audit` any. For other ids the response is 404. Without
    `feed`, `audit` or `review`, the response does not name the contributing member: its id is 0 and its name is
    empty.
    """
    contribution = contributions.get(hashdb(), actor(), contribution_id)
    return ContributionOut.from_domain(contribution)


@blueprint.get("/<id:contribution_id>/frames")
@operation({200: FramesOut}, query=PageQuery, errors=[404])
def list_frames(contribution_id: int) -> FramesOut:
    """List the frames of a contribution.

    For those who may see its signals. A video has frames; those of a document and a text are its pages, then windows of
    its words. Other contributions have none.
    """
    params = query(PageQuery)
    frames = contributions.frames(hashdb(), actor(), contribution_id)
    return FramesOut.from_frames(frames, params.after, params.limit)


@blueprint.patch("/<id:contribution_id>")
@operation({200: ContributionOut}, any_scope=[Scope.CONTRIBUTE], body=AmendmentIn, errors=[404, 409])
def amend_contribution(contribution_id: int) -> ContributionOut:
    """Change your contribution.

    Changes labels, severity, basis, context, incident or expiry. Only the fields in the body change.
    """
    change = read(AmendmentIn, body(), validation_context()).to_domain()
    return ContributionOut.from_domain(contributions.amend(hashdb(), actor(), contribution_id, change))


@blueprint.post("/<id:contribution_id>/signals")
@operation({200: ContributionOut}, any_scope=[Scope.CONTRIBUTE], body=SignalsIn, errors=[404, 409, 429])
def add_signals(contribution_id: int) -> ContributionOut:
    """Add signals to your contribution.

    For hashes of the same picture that your contribution does not have, as after an upgrade that hashes more of a
    picture. Its signals stay; new ones are added until it has 64. If nothing is new, nothing changes, and `known` is
    true. The contribution must match and have no open case. New signals are compared with the benign list and with
    retired contributions, as those of a new contribution.
    """
    addition = read(SignalsIn, body(), validation_context()).to_addition(contribution_id)
    return ContributionOut.from_recorded(additions.add_one(hashdb(), actor(), addition))


@blueprint.post("/signals")
@operation({200: ReceiptOut}, any_scope=[Scope.CONTRIBUTE], body=AdditionsIn, errors=[429])
def add_signals_to_many() -> ReceiptOut:
    """Add signals to your contributions.

    As for one contribution, for 1 to 1,000: the service adds to all of them or to none.
    """
    request = read(AdditionsIn, body(), validation_context())
    return ReceiptOut.from_domain(additions.add(hashdb(), actor(), request.to_domain()))


@blueprint.post("/lookups")
@operation({200: ContributionsOut}, any_scope=[Scope.CONTRIBUTE], body=LookupIn, query=PageQuery)
def look_up_contributions() -> ContributionsOut:
    """Find your contributions by their signals.

    Returns your active contributions that have a signal equal to one of these, in the order of their ids. Suppressed
    signals and those of frames do not count.
    """
    params, signals = query(PageQuery), read(LookupIn, body(), validation_context()).signals
    return list_page(ContributionsOut, params, partial(additions.list_holding, hashdb(), actor(), set(signals)))


@blueprint.post("/<id:contribution_id>/withdrawal")
@operation({200: ContributionOut}, any_scope=[Scope.CONTRIBUTE], body=WithdrawalIn, errors=[404, 409])
def withdraw_contribution(contribution_id: int) -> ContributionOut:
    """Withdraw your contribution.

    It is no longer found from the next match on. It stays on record, and cannot become active again.
    """
    reason = read(WithdrawalIn, body(), validation_context()).reason
    return ContributionOut.from_domain(contributions.withdraw(hashdb(), actor(), contribution_id, reason))


@blueprint.delete("/<id:contribution_id>/content")
@operation({204: None}, any_scope=[Scope.CONTRIBUTE, Scope.ADMIN], query=EraseQuery, errors=[404, 409])
def erase_contribution(contribution_id: int) -> None:
    """Erase the content of a contribution.

    Withdraws the contribution, and permanently removes its signals, reference and notes. Its events stay in the log.
    The service keeps the signals for 90 days after the withdrawal, hidden, so that the readers of other protocols learn
    which values to remove; with `now=1` it does not. Only a key with scope `admin` may use `now=1` for a contribution
    that is quarantined or retired, or that has an open case.
    """
    at_once = bool(query(EraseQuery).now)
    contributions.erase(hashdb(), actor(), contribution_id, at_once=at_once)


def _drafts(db: HashDB, metadata: Sequence[MetadataIn], hashed: Sequence[HashedFile]) -> list[Draft]:
    """The drafts of hashed files. Raises InvalidInput with every fault, at `file[i]`."""
    # The first signals of a picture are those of the picture itself; its variants follow.
    own_count = len(db.rules.algorithms)
    drafts = [
        file.in_draft(
            item.to_draft(benign.without_benign_variants(db, file.hashed.signals, own_count), file.hashed.quality)
        )
        for item, file in zip(metadata, hashed, strict=True)
    ]
    contributions.check(db, drafts, db.now(), db.intake_rules(), at="file")
    return drafts
