"""Models of contributions as their reader may see them."""

from __future__ import annotations

from operator import attrgetter
from typing import Annotated, Any, ClassVar, Self, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, Field

from hashdb.domain.contributions import Contribution, Media, Receipt, Recorded, Standing, Status
from hashdb.domain.review.cases import Case, Opinion
from hashdb.wire import HashText, Moment, Next, PageModel, ResponseModel, SaltText, SignalText, SignatureText
from hashdb.wire.conversions import OMIT_DEFAULT, Mirror, construct
from hashdb.wire.frames import FrameOut, shown_frame_fields
from hashdb.wire.origins import OriginOut
from hashdb.wire.signatures import known_signatures


class Contributor(ResponseModel):
    """A member. If your key may not know it, the id is 0 and the name is empty."""

    id: int = Field(description="The id of the member.")
    name: str = Field(description="The name of the member.")


_OfMember = TypeVar("_OfMember", bound=Contribution | Opinion | Case)


def _contributor(value: Contribution | Opinion | Case) -> Contributor:
    """The member that a value comes from, as its reader may see it."""
    return construct(Contributor, {"id": value.member, "name": value.member_name})


class Shown(Mirror[_OfMember]):
    """Base of a model of a value that comes from a member; it leaves out the fields that its reader may not see."""

    __slots__ = ()
    HIDEABLE: ClassVar[frozenset[str]]
    """The fields that some readers may not see."""

    @classmethod
    def fields_from(cls, value: _OfMember) -> dict[str, Any]:
        """The fields of the model that the reader may see."""
        fields = super().fields_from(value)
        fields["member"] = _contributor(value)
        for name in value.hidden:
            del fields[name]
        return fields

    def arguments(self) -> dict[str, Any]:
        """The arguments of the domain class."""
        arguments = super().arguments()
        member: Contributor = arguments["member"]
        hidden = self.HIDEABLE - cast(BaseModel, self).model_fields_set
        return arguments | {"member": member.id, "member_name": member.name, "hidden": hidden}


class ContributionOut(ResponseModel, Shown[Contribution]):
    """A contribution. Without the right to see them, `signals` and `reference` are left out."""

    HIDEABLE: ClassVar[frozenset[str]] = frozenset({"signals", "reference"})

    id: int = Field(description="The id of the contribution.")
    known: bool = Field(
        False, description="In the response to a request that contributes or adds signals: nothing was new."
    )
    status: Status = Field(description="Whether the contribution takes part.")
    standing: Standing = Field(description="What opinions and decisions say about it.")
    member: Contributor = Field(description="The member that contributed it.")
    received_at: Moment = Field(description="When the service received it.")
    signals: list[SignalText] = Field([], description="The hashes of the item.")
    labels: list[str] = Field(description="What the content does: codes of the vocabulary.")
    removed_at: Moment | None = Field(description="When the item was removed; null if unknown.")
    quality: int | None = Field(description="The PDQ quality of the picture; null if unknown.")
    media: Media = Field(description="The kind of content.")
    severity: int | None = Field(description="0 to 4; higher is worse, 4 is a crisis.")
    basis: str | None = Field(description="Why the item was removed: a code of the vocabulary.")
    tco_ground: str | None = Field(
        description="The ground of Regulation (EU) 2021/784, Article 2(7): a code of the vocabulary."
    )
    entity: str | None = Field(
        description="The entity behind the content: a list and a slug, for example `UN:example`."
    )
    incident: str | None = Field(description="The incident: `PCI:`, `CIP:` or `CI:` and a slug.")
    context: list[str] = Field(description="What a reviewer needs to know before acting: codes of the vocabulary.")
    notified_at: Moment | None = Field(description="When someone notified the platform of the item.")
    reference: str | None = Field(None, description="The member's own id of the item.")
    expires_at: Moment | None = Field(description="When it expires; null is never.")
    withdrawn_at: Moment | None = Field(description="When it was withdrawn; null if it was not.")
    withdrawal_reason: str | None = Field(description="Why it was withdrawn: a reason of the vocabulary.")
    erased: bool = Field(description="Whether its content was erased.")
    signatures: Annotated[list[SignatureText], BeforeValidator(known_signatures), OMIT_DEFAULT] = Field(
        [], description="Signatures of the picture, for those who may see its signals."
    )
    masked: int = Field(0, description="How many of its signals are suppressed, because they are near a benign entry.")
    frame_count: Annotated[int, OMIT_DEFAULT] = Field(
        0, description="How many frames it has: of a video, or pages and windows of words."
    )
    duration: Annotated[float | None, OMIT_DEFAULT] = Field(None, description="The duration of the video, in seconds.")
    pages: Annotated[int | None, OMIT_DEFAULT] = Field(
        None, description="How many pages of a document were sent, at least."
    )
    words: Annotated[int | None, OMIT_DEFAULT] = Field(
        None, description="How many words of a text were sent, at least."
    )
    frames: Annotated[list[FrameOut], OMIT_DEFAULT] = Field(
        [], description="In the feed: the frames of a video, or pages and windows of words."
    )
    salt: Annotated[SaltText | None, OMIT_DEFAULT] = Field(
        None, description="The salt of its commitment, for those who may see its signals."
    )
    commitment: Annotated[HashText | None, OMIT_DEFAULT] = Field(
        None, description="The commitment to its signals, as its event has it."
    )
    undisclosed: Annotated[list[HashText], OMIT_DEFAULT] = Field(
        [], description="The seals of its suppressed signals, for those who may see its other signals."
    )
    changed_at: Moment | None = Field(None, description="In lists: the time of its last event.")
    incomplete: Annotated[str | None, OMIT_DEFAULT] = Field(
        None, description="How much of a damaged video could be read."
    )
    origin: Annotated[OriginOut | None, OMIT_DEFAULT] = Field(None, description="If it came from another hashdb.")

    @classmethod
    def fields_from(cls, value: Contribution) -> dict[str, Any]:
        """The fields of the model that the reader may see."""
        fields = visible_fields(value) | {"member": _contributor(value)}
        if value.frames:
            fields["frames"] = list(map(FrameOut.from_domain, value.frames))
        if value.origin is not None:
            fields["origin"] = OriginOut.from_domain(value.origin)
        return fields

    @classmethod
    def from_recorded(cls, recorded: Recorded) -> Self:
        """The contribution, and whether it was known."""
        return construct(cls, {**cls.fields_from(recorded.contribution), "known": recorded.known})


def visible_fields(contribution: Contribution) -> dict[str, Any]:
    """The fields of `ContributionOut` that the reader may see, by name, for lists and feeds."""
    # Not derived: this takes a quarter of the time.
    fields = dict(zip(_FIELDS, _get_fields(contribution), strict=True))
    for name in ("signals", "labels", "context"):
        fields[name] = list(fields[name])
    fields["member"] = {"id": contribution.member, "name": contribution.member_name}
    if contribution.frame_count:
        fields["frame_count"] = contribution.frame_count
    if not contribution.erased:
        for name in ("duration", "pages", "words"):
            if (length := getattr(contribution, name)) is not None:
                fields[name] = length
    if contribution.frames:
        fields["frames"] = list(map(shown_frame_fields, contribution.frames))
    if contribution.changed_at is not None:
        fields["changed_at"] = contribution.changed_at
    if contribution.signatures:
        fields["signatures"] = list(contribution.signatures)
    if contribution.origin is not None:
        fields["origin"] = contribution.origin._asdict()
    for name in ("commitment", "salt"):
        if (octets := getattr(contribution, name)) is not None:
            fields[name] = octets.hex()
    if contribution.undisclosed:
        fields["undisclosed"] = [seal.hex() for seal in contribution.undisclosed]
    for name in contribution.hidden:
        del fields[name]
    return fields


# The fields that `visible_fields` always has: each is the attribute of the same name.
_FIELDS = tuple(
    name
    for name, field in ContributionOut.model_fields.items()
    if OMIT_DEFAULT not in field.metadata and name not in ("known", "changed_at")
)
_get_fields = attrgetter(*_FIELDS)


class ReceiptOut(ResponseModel):
    """The response to a request to contribute: the contributions, in order."""

    contributions: list[ContributionOut] = Field(description="The contributions, in the order of the drafts.")
    checkpoint: int = Field(description="The seq of the log when the contributions were stored.")

    @classmethod
    def from_domain(cls, receipt: Receipt) -> Self:
        """The response with a receipt."""
        contributions = [ContributionOut.from_recorded(recorded) for recorded in receipt.recorded]
        return cls.build(contributions=contributions, checkpoint=receipt.checkpoint)

    def to_domain(self) -> Receipt:
        """The receipt."""
        recorded = tuple(Recorded(contribution.to_domain(), contribution.known) for contribution in self.contributions)
        return Receipt(recorded, self.checkpoint)


class ContributionsOut(PageModel):
    """A page of contributions."""

    contributions: list[ContributionOut] = Field(description="The contributions of this page.")
    next: Next
