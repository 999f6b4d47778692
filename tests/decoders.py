"""Every function of hashdb that reads untrusted bytes: its name, valid examples, and the errors that it may raise."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ValidationError

from hashdb import webhooks
from hashdb.cli.contributions.columns import Columns
from hashdb.cli.contributions.dates import Dates
from hashdb.cli.contributions.rows import Format, read_rows
from hashdb.cli.contributions.values import Values
from hashdb.domain.frames import Frame, Unit
from hashdb.domain.ledger.checkpoints import Checkpoint, read_checkpoint
from hashdb.domain.ledger.cosignatures import Cosigner, Submission
from hashdb.domain.ledger.events import event_text, leaf_of_event
from hashdb.domain.ledger.notes import Signer, Verifier
from hashdb.domain.ledger.policies import Policy
from hashdb.domain.ledger.receipts import Receipt
from hashdb.domain.matching.testing import contribution_of_test_item
from hashdb.domain.sharing.feed import Change
from hashdb.domain.sharing.webhooks import sign
from hashdb.domain.signals import OF_PICTURES, Algorithm, Signal
from hashdb.domain.times import parse_instant
from hashdb.errors import HashDBError
from hashdb.hashing import Limits, Mode, hash_picture
from hashdb.hashing.decoding import ANIMATED, VideoLimits
from hashdb.hashing.pictures import FORMATS
from hashdb.hashing.videos import Video, hash_frames, is_video
from hashdb.http_server.texts import hash_value
from hashdb.wire import ValidationContext, pages, read
from hashdb.wire.accounts import KeyIn, MemberChangeIn, MemberIn
from hashdb.wire.additions import AdditionsIn, LookupIn, SignalsIn
from hashdb.wire.drafts import AmendmentIn, ContributionsIn, MetadataIn, WithdrawalIn, read_drafts, read_metadata
from hashdb.wire.lookback import AcknowledgedIn, ReportsQuery, UploadsIn, read_uploads
from hashdb.wire.matching import BenignIn, QueriesIn, read_queries
from hashdb.wire.origins import OriginOut
from hashdb.wire.pages import (
    BatchItemsQuery,
    BenignPageQuery,
    CasesPageQuery,
    DecidedCasesQuery,
    DeliveriesQuery,
    ListingQuery,
    ListQuery,
    OverviewQuery,
    PlacedQuery,
)
from hashdb.wire.pasted import parse_hash_lines, parse_item
from hashdb.wire.review import BatchIn, CaseNoteIn, DecisionIn, IncidentChangeIn, IncidentIn, OpinionIn, UpholdIn
from hashdb.wire.sharing import hma, parse_fields, stopncii, threatexchange
from hashdb.wire.sharing.feed import change_line, parse_lines
from hashdb.wire.sharing.upstreams import read_page
from hashdb.wire.sharing.vpdq import read_vpdq
from hashdb.wire.sharing.webhooks import WebhookChangeIn, WebhookIn
from hashdb.wire.sidecar import RememberingQueriesIn, read_remembering
from hashdb.wire.users import UserChangeIn, UserIn, ViewChangeIn, ViewIn
from tests import films
from tests.builders import NOON, RULES, signal
from tests.hashing.samples import draw_picture, encode_picture
from tests.web.callers import item, pdq
from tests.web.pictures import METADATA

CONTEXT = ValidationContext(RULES, NOON)
WINDOW = f"{Algorithm.SIMHASH256}:{'0f' * 32}"
DOCUMENT = [{"page": 3, "quality": 90, "signals": [pdq(1)]}, {"words": [100, 250], "signals": [WINDOW]}]
LISTED = replace(
    contribution_of_test_item([]),
    pages=3,
    words=250,
    frames=(
        Frame(3, (signal(1),), 90, unit=Unit.PAGES),
        Frame(100, (Signal.parse(WINDOW),), unit=Unit.WORDS, length=150),
    ),
)
ADDRESSES = {**METADATA, "url": "https://example.org/a?b=1"}
LIMITS = Limits(max_bytes=1_000_000, max_pixels=250_000)
SIGNER = Signer.new("log.example/1")
COSIGNER = Cosigner.new("w.example/1")
_POLICY = Policy.parse("quorum none")
_EVENT = event_text(1, NOON, "key:1", "contribution.added", "contribution:1", "{}")
_RECEIPT = Receipt(_EVENT, 0, (), Checkpoint(SIGNER.name, 1, leaf_of_event(_EVENT)).signed(SIGNER))


@dataclass(frozen=True, slots=True)
class Decoder:
    """A function that reads bytes, examples that it accepts, errors that it may raise, and the models that it fills."""

    read: Callable[[bytes], object]
    examples: tuple[bytes, ...]
    raises: tuple[type[Exception], ...] = (HashDBError,)
    models: tuple[type[BaseModel], ...] = ()

    def __call__(self, octets: bytes) -> bool:
        """Whether it accepts the bytes. An error that is not in `raises` is not caught."""
        try:
            self.read(octets)
        except self.raises:
            return False
        return True


def _text(octets: bytes) -> str:
    return octets.decode("utf-8", "replace")


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _body(
    model: type[BaseModel], example: object, then: Callable[[BaseModel], object] = lambda parsed: parsed
) -> Decoder:
    return Decoder(lambda octets: then(read(model, octets, CONTEXT)), (_json(example),), models=(model,))


def _query(model: type[BaseModel], *examples: bytes) -> Decoder:
    # As a view does: it parses the query string, then the model. The view turns a ValidationError into InvalidInput.
    def decode(octets: bytes) -> object:
        return model.model_validate(dict(parse_qsl(_text(octets))), context=CONTEXT)

    return Decoder(decode, examples, (ValidationError,), (model,))


def _foreign(model: type[BaseModel], *examples: bytes) -> Decoder:
    return Decoder(lambda octets: parse_fields(model, dict(parse_qsl(_text(octets)))), examples, models=(model,))


def _rows(form: Format, *examples: bytes) -> Decoder:
    values = Values(Dates(ZoneInfo("Europe/Berlin"), "day-first"), Algorithm.PDQ, RULES.vocabulary)

    def decode(octets: bytes) -> object:
        return list(read_rows(_text(octets).splitlines(True), form, values, Columns(), is_labelled=True))

    return Decoder(decode, examples)


def _pictures() -> Decoder:
    samples = tuple(encode_picture(draw_picture(60, 45), format) for format in FORMATS)
    return Decoder(lambda octets: hash_picture(octets, list(OF_PICTURES), LIMITS), samples)


def _videos() -> Decoder:
    shown = films.pictures(1, 1.0, (48, 32))
    samples = [films.encoded(shown, container=container) for container in ("mp4", "matroska", "mpegts", "avi", "flv")]
    for format in ANIMATED:
        samples.append(encode_picture(shown[0], format, save_all=True, append_images=shown[1:4]))
    limits = VideoLimits(max_seconds=60, max_pixels=250_000)

    def read_video(octets: bytes) -> object:
        is_video(BytesIO(octets))
        return list(hash_frames(Video(BytesIO(octets), limits), [Algorithm.PDQ], Mode.PLAIN))

    return Decoder(read_video, tuple(samples))


_SECRET = "whsec_c2VjcmV0"
_MESSAGE = _json({"type": "feed.changed", "timestamp": "2026-11-20T10:00:00Z", "data": {"checkpoint": 7}})


def _message(octets: bytes) -> object:
    """Read the body of a webhook message from a sender that has the secret."""
    headers = {"webhook-id": "a", "webhook-timestamp": "9", "webhook-signature": sign(_SECRET, "a", 9, octets)}
    return webhooks.verify(_SECRET, headers, octets, now=9)


def _signature(octets: bytes) -> object:
    """Read the headers of a webhook message from a sender that lacks the secret."""
    return webhooks.verify(_SECRET, dict(parse_qsl(_text(octets))), _MESSAGE, now=9)


_HEADERS = urlencode(
    {"Webhook-Id": "a", "Webhook-Timestamp": "9", "Webhook-Signature": f"v1,x {sign(_SECRET, 'a', 9, _MESSAGE)}"}
)
_PAGE_OF_FEED = _json(
    {
        "changes": [
            {
                "seq": 4,
                "contribution": {
                    **item(signals=[pdq(1), "later:00ff"]),
                    "id": 7,
                    "member": {"id": 2, "name": "Alpha"},
                    "standing": "disputed",
                    "origin": {"log": "eu.example/log+a1b2c3d4", "contribution": 17, "member": 3},
                },
            },
            {
                "seq": 5,
                "contribution": {
                    **item(signals=[], quality=None, media="document", frames=DOCUMENT),
                    "id": 8,
                    "member": {"id": 2, "name": "Alpha"},
                    "standing": "unreviewed",
                },
            },
            {"seq": 6, "gone": 6, "reason": "withdrawn", "withdrawal_reason": "other"},
        ],
        "checkpoint": 6,
        "more": False,
        "epoch": "x",
    }
)
_NOTE = SIGNER.sign("log.example/1\n3\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n").encode()

DECODERS: dict[str, Decoder] = {
    "pictures": _pictures(),
    "videos": _videos(),
    "contributions": Decoder(
        lambda octets: read_drafts(octets, CONTEXT),
        (
            _json({"contributions": [item(1), item(2)]}),
            _json({"contributions": [item(signals=[], quality=None, media="document", frames=DOCUMENT)]}),
        ),
        models=(ContributionsIn,),
    ),
    "metadata": Decoder(
        lambda octets: read_metadata(_text(octets), 2, CONTEXT),
        (_json(METADATA), _json([METADATA, METADATA])),
        models=(MetadataIn,),
    ),
    "queries": Decoder(
        lambda octets: read_queries(octets, CONTEXT),
        (
            _json({"queries": [{"id": "u", "signals": [pdq(1)], "radius": {"pdq": 9}}]}),
            _json({"queries": [{"signals": [], "frames": DOCUMENT, "min_words": 300}]}),
        ),
        models=(QueriesIn,),
    ),
    "queries to remember": Decoder(
        lambda octets: read_remembering(octets, CONTEXT),
        (_json({"queries": [{"id": "u", "signals": [pdq(1)], "remember": "post-81"}]}),),
        models=(RememberingQueriesIn,),
    ),
    "uploads": Decoder(
        lambda octets: read_uploads(octets, CONTEXT),
        (_json({"uploads": [{"id": "post-81", "at": "2026-11-19T10:00:00Z", "signals": [pdq(1)]}]}),),
        models=(UploadsIn,),
    ),
    "reports to acknowledge": _body(AcknowledgedIn, {"number": 7}),
    "parameters of reports": _query(ReportsQuery, b"after=7&limit=10&wait=20", b""),
    "additions": _body(AdditionsIn, {"contributions": [{"id": 1, "signals": [pdq(1), pdq(2)]}]}),
    "an addition": _body(SignalsIn, {"signals": [pdq(1), pdq(2)]}),
    "look-ups": _body(LookupIn, {"signals": [pdq(1)]}),
    "amendments": _body(AmendmentIn, {"labels": ["manifesto"], "expires_at": None}),
    "withdrawals": _body(WithdrawalIn, {"reason": "other"}),
    "opinions": _body(OpinionIn, {"opinion": "disputes", "reason": "edsa_context", "note": "x"}),
    "piles": _body(UpholdIn, {"note": "As described.", "upto": 7}),
    "case notes": _body(CaseNoteIn, {"text": "Seen before?"}),
    "batches": _body(BatchIn, {"note": "As described.", "reason": "other", "days": 7}),
    "decisions": _body(DecisionIn, {"decision": "uphold", "note": None}),
    "benign signals": _body(BenignIn, {"signals": [pdq(1)], "radius": {"pdq": 3}, "note": "card"}),
    "incidents": _body(IncidentIn, {"label": "CI:x", "start": "2026-11-20T10:00:00Z", "end": None, "expires": True}),
    "changes of incidents": _body(IncidentChangeIn, {"start": "2026-11-20T10:00:00Z"}),
    "members": _body(MemberIn, {"name": "A", "kind": "platform", "limits": {"contributions_per_day": 5}}),
    "changes of members": _body(MemberChangeIn, {"status": "suspended"}),
    "keys": _body(KeyIn, {"scopes": ["match"], "expires_at": "2027-01-01T00:00:00Z", "hides_distances": True}),
    "users": _body(UserIn, {"name": "ada", "role": "reviewer"}),
    "changes of users": _body(UserChangeIn, {"role": "auditor"}),
    "views": _body(ViewIn, {"page": "cases", "name": "Crisis", "query": "severity=4", "shared": True}),
    "changes of views": _body(ViewChangeIn, {"name": "Crisis", "shared": True}),
    "webhooks": _body(WebhookIn, {"url": "https://a.example/h?x=1", "topics": ["feed.changed"], "note": "mine"}),
    "changes of webhooks": _body(
        WebhookChangeIn, {"url": "https://a.example:8443/h", "topics": ["case.opened"], "enabled": True}
    ),
    "webhooks' messages": Decoder(_message, (_MESSAGE,)),
    "webhooks' signatures": Decoder(_signature, (_HEADERS.encode(),)),
    "lists": _query(pages.PageQuery, b"limit=5&after=7"),
    "lists of deliveries": _query(DeliveriesQuery, b"outcome=failed&limit=5&after=7"),
    "parameters of a contribution": _query(pages.ContributeQuery, b"imported=1"),
    "parameters of a contribution of pictures": _query(pages.MediaQuery, b"profile=thorough"),
    "parameters of an erasure": _query(pages.EraseQuery, b"now=1"),
    "parameters of a match": _query(pages.MatchesQuery, b"include=quarantined"),
    "parameters of a match of pictures": _query(pages.MediaMatchesQuery, b"include=quarantined&transforms=1"),
    "parameters of the hashing of pictures": _query(pages.SignalsQuery, b"transforms=1"),
    "the console's benign entries": _query(BenignPageQuery, b"text=card&algorithm=pdq&whose=own&after=3.3"),
    "the console's cases": _query(CasesPageQuery, b"state=decided&before=9", b"pile=3"),
    "the console's contributions": _query(
        ListingQuery, b"label=manifesto&since=2026-11-20&order=up&limit=9", b"reference=x&severity=4&incident=CI:x"
    ),
    "the console's events": _query(pages.EventsPageQuery, b"subject=member:1&since=2026-11-20&before=9&follow=1"),
    "a short list of the console": _query(ListQuery, b"sort=name&order=up&row=51&limit=25"),
    "a page of a long list": _query(PlacedQuery, b"order=up&after=7.9&row=51&limit=25"),
    "decided cases": _query(DecidedCasesQuery, b"state=decided&order=up&before=7.9"),
    "the items of a batch": _query(BatchItemsQuery, b"after=7&limit=9"),
    "the console's overview": _query(OverviewQuery, b"days=90"),
    "lists of contributions": _query(
        pages.ContributionsQuery, b"limit=5&after=7&status=active&since=2026-11-20T10:00:00Z"
    ),
    "lists of cases": _query(pages.CasesQuery, b"state=open&after=0"),
    "lists of events": _query(pages.EventsQuery, b"subject=member:1&actor=key:2&action=member.added"),
    "the feed's cursor": _query(pages.ChangesQuery, b"after=4&limit=1&epoch=9f3c&wait=0"),
    "reports": _query(pages.ReportQuery, b"from=2026-11-01&to=2026-11-20"),
    "proofs of events": _query(pages.InclusionQuery, b"seq=1&size=2"),
    "receipts of events": _query(
        pages.ReceiptsQuery, b"seq=1&witnessed=1", b"subject=contribution:17&action=contribution.added"
    ),
    "proofs": _query(pages.ConsistencyQuery, b"first=1&second=2"),
    "the root of the active set": _query(pages.SetQuery, b"signed=1"),
    "days": _query(pages.DayQuery, b"day=2026-11-20"),
    "StopNCII's cursor": _foreign(stopncii.FetchQuery, b"startTimestamp=5&pageSize=3&nextPageToken=1-2"),
    "StopNCII's hashes": Decoder(
        lambda octets: read(stopncii.HashesIn, octets, CONTEXT).items(
            partial(hash_value, for_query=False, accept_text=True)
        ),
        (
            _json({"hashRecords": [{"signalType": "ImagePDQ", "hashValue": pdq(1)[4:]}]}),
            _json({"hashRecords": [{"signalType": "VideoMD5", "hashValue": "1" * 32}]}),
            _json({"hashRecords": [{"signalType": "URL", "hashValue": "https://a.example/b?c=1"}]}),
        ),
        models=(stopncii.HashesIn,),
    ),
    "StopNCII's feedback": Decoder(
        lambda octets: read(stopncii.FeedbacksIn, octets, CONTEXT).opinions(RULES.vocabulary.reason),
        (_json({"hashFeedbacks": [{"hashValue": pdq(1)[4:], "feedbackValue": "NotBlocked", "tags": ["other"]}]}),),
        models=(stopncii.FeedbacksIn,),
    ),
    "ThreatExchange's cursor": _foreign(threatexchange.UpdatesQuery, b"start_time=1&stop_time=9&limit=3&after=1-2"),
    "ThreatExchange's descriptors": Decoder(
        lambda octets: parse_fields(threatexchange.DescriptorIn, dict(parse_qsl(_text(octets)))).fields(),
        (
            f"indicator={pdq(1)[4:]}&type=HASH_PDQ&status=MALICIOUS".encode(),
            f'indicator=["{pdq(1)[4:]},90,0.0"]&type=HASH_VIDEO_VPDQ&status=MALICIOUS'.encode(),
        ),
        models=(threatexchange.DescriptorIn,),
    ),
    "ThreatExchange's reactions": _foreign(threatexchange.ReactionIn, b"reactions=HELPFUL"),
    "Tech Against Terrorism's cursor": _foreign(stopncii.ListQuery, b"after=7&page=1-2&limit=9"),
    "Tech Against Terrorism's log-in": _foreign(stopncii.LoginIn, b"username=A&password=hdb_x"),
    "HMA's signals": Decoder(
        lambda octets: read(hma.SignalsIn, octets).fields(RULES.algorithms),
        (
            _json({"pdq": pdq(1)[4:], "note": "n"}),
            _json({"video_md5": "1" * 32, "vpdq": f'["{pdq(1)[4:]},90,0.0", "{pdq(2)[4:]},90,1.0"]'}),
        ),
        models=(hma.SignalsIn,),
    ),
    "HMA's comparisons": Decoder(
        lambda octets: read(hma.CompareIn, octets).pairs(RULES.algorithms),
        (_json({"pdq": [pdq(1)[4:], pdq(2)[4:]]}),),
        models=(hma.CompareIn,),
    ),
    "HMA's banks": _body(hma.BankIn, {"name": "ALPHA_VIDEO"}),
    "HMA's changes of contents": _body(hma.ContentChange, {"disable_until_ts": 1}),
    "HMA's metadata": _body(hma.MetadataIn, {"content_id": "own-1", "json": {}}),
    "HMA's contents": _foreign(hma.ContentQuery, b"include_signals=true&include_metadata=0"),
    "HMA's hashes": _foreign(hma.HashQuery, b"url=https://a.example/b.jpg&content_type=photo&types=pdq,phash"),
    "HMA's status": _foreign(hma.StatusQuery, b"signal_type=pdq"),
    "HMA's queries": _foreign(hma.LookupQuery, b"signal=0&signal_type=pdq&banks=A,B&include_distance=true"),
    "CSV": _rows(
        Format.CSV,
        f"signals,labels,quality\n{pdq(1)},manifesto,90\n".encode(),
        f"PDQ;Label;Removed At\n{pdq(1)[4:]};Manifesto, x;3.11.2026 10:00\n".encode(),
    ),
    "JSON Lines": _rows(
        Format.JSONL, _json(item(1)) + b"\n" + _json(item(2)), _json({**METADATA, "frames": DOCUMENT}), _json(ADDRESSES)
    ),
    "vPDQ": Decoder(
        lambda octets: read_vpdq(_text(octets)),
        (
            f"0,90,{pdq(1)[4:]},0.000\n30,90,{pdq(2)[4:]},1.000\n".encode(),
            _json([f"{pdq(1)[4:]},90,0.0", f"{pdq(2)[4:]},90,1e+02"]),
            _json({"0": {"hash": pdq(1)[4:], "quality": 90, "timestamp": 0.0}}),
        ),
        (ValueError,),
    ),
    "lists of hashes": _rows(Format.TEXT, f"{pdq(1)}\n{pdq(2)[4:]}\n# x\n".encode()),
    "the debugger's lines": Decoder(
        lambda octets: parse_hash_lines(_text(octets)), (f"{pdq(1)}\nmirror {pdq(2)}\ncolour:{'80' * 32}".encode(),)
    ),
    "the debugger's videos": Decoder(
        lambda octets: parse_item(_text(octets), CONTEXT),
        (
            _json({"frames": [{"at": 0, "signals": [pdq(1)], "quality": 90}], "duration": 1}),
            f"0,90,{pdq(1)[4:]},0.000\n".encode(),
        ),
    ),
    "the feed of an upstream": Decoder(
        lambda octets: read_page(octets, CONTEXT), (_PAGE_OF_FEED,), (ValueError,), (OriginOut,)
    ),
    "streams of the feed": Decoder(
        parse_lines,
        (
            b'{"seq": 1, "gone": 17, "reason": "withdrawn"}\n{"checkpoint": 1, "more": false, "epoch": "x"}\n',
            change_line(Change(5, LISTED)).encode(),
        ),
        (ValueError,),
    ),
    "checkpoints": Decoder(lambda octets: read_checkpoint(_text(octets), [SIGNER.verifier]), (_NOTE,)),
    "submissions to a witness": Decoder(
        lambda octets: Submission.parse(_text(octets)), (str(Submission(1, (bytes(32),), _NOTE.decode())).encode(),)
    ),
    "receipts": Decoder(
        lambda octets: Receipt.parse(_text(octets)).verify(_POLICY, [SIGNER.verifier]), (str(_RECEIPT).encode(),)
    ),
    "files of cosigners": Decoder(Cosigner.from_file, (COSIGNER.file,)),
    "policies": Decoder(
        lambda octets: Policy.parse(_text(octets)),
        (f"log {SIGNER.verifier}\nwitness w {COSIGNER.key} https://w.example\ngroup g 1 w\nquorum g\n".encode(),),
    ),
    "verifier keys": Decoder(lambda octets: Verifier.parse(_text(octets)), (str(SIGNER.verifier).encode(),)),
    "times": Decoder(
        lambda octets: parse_instant(_text(octets)), (b"2026-11-20T10:00:00.000001+01:00",), (ValueError,)
    ),
    "signals": Decoder(lambda octets: Signal.parse(_text(octets)), (str(signal(1)).encode(),), (ValueError,)),
}
