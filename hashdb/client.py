"""Client: the functions of the service over HTTP, with the same types and errors."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, BinaryIO, Self, TypeVar

import httpx

from hashdb import wire
from hashdb.auditing import Auditing
from hashdb.configuration import Configuration
from hashdb.connection import ClientRequest, Connection, form_request
from hashdb.domain.contributions import Addition, Amendment, Contribution, Draft, Filter, Receipt, Recorded
from hashdb.domain.matching.lookback import REPORTS_A_REQUEST, LookBackReport, Upload
from hashdb.domain.matching.matches import Answer, Query, Result
from hashdb.domain.rules import DRAFTS_A_REQUEST, SIGNALS_A_LOOKUP
from hashdb.domain.signals import Signal
from hashdb.domain.times import format_instant
from hashdb.errors import ServiceError
from hashdb.wire.frames import FramesOut, drafts_in_requests
from hashdb.wire.matching import AnswerOut, BenignIn, BenignOut, BenignsOut, QueriesIn, queries_in_requests
from hashdb.wire.problems import NOT_HASHDB, checking_version, positions_from

if TYPE_CHECKING:
    from hashdb.domain.frames import Frame
    from hashdb.domain.matching.benign import BenignDraft, BenignEntry
    from hashdb.domain.review.cases import Case, CaseState, Decision, Opinion, OpinionDraft
    from hashdb.domain.review.incidents import Incident, IncidentChange, IncidentDraft
    from hashdb.domain.review.proposals import Proposal
    from hashdb.domain.sharing.feed import Changes, FeedPage
    from hashdb.domain.sharing.webhooks import (
        Delivery,
        DeliveryOutcome,
        IssuedWebhook,
        Webhook,
        WebhookChange,
        WebhookDraft,
    )
    from hashdb.domain.stats.counts import Reversal

_Item = TypeVar("_Item")


class Client(Auditing):
    """A member's connection to a service. It is thread-safe. Close it, or use it in a `with` block.

    Every method raises the errors of the service (`hashdb.errors`), ServiceUnreachable if there is no answer, and
    ServiceError if the answer is not one of hashdb.
    """

    def __init__(
        self,
        url: str,
        key: str = "",
        *,
        timeout: float = 30.0,
        retries: int = 3,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`url` is the root of the service, `key` the secret of a key, `timeout` is in seconds. Raises BadSetting.

        A sidecar needs no key; on a Unix socket its address is `unix:` and the path.

        A request that got no answer, or an answer with status 429 or 503, is sent again up to `retries` times, if that
        is safe. The client waits as long as `Retry-After` says (up to 30 seconds), else for growing pauses.
        """
        self.url = url
        self._connection = Connection(url, key, timeout, retries, transport)

    @classmethod
    def from_environment(cls) -> Self:
        """A client with the address and the key of HASHDB_URL and HASHDB_KEY or HASHDB_KEY_FILE, or of the user's file.

        The user's file is `~/.config/hashdb.toml` (docs/cli.md). Raises BadSetting. If the service refuses the key, the
        error says from which setting the key is.
        """
        configuration = Configuration.read()
        url, key = configuration.url, configuration.key()
        client = cls(url.value, key.value)
        client._connection.name_settings(url.setting, key.setting)
        return client

    def __enter__(self) -> Self:
        """Use the client in a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def me(self) -> wire.accounts.MeOut:
        """The member and scopes of this key, and the algorithms and rules of the service."""
        return self._get(wire.accounts.MeOut, "/v1/me")

    def contribute(
        self, drafts: Sequence[Draft], *, idempotency_key: str | None = None, imported: bool = False
    ) -> Receipt:
        """Contribute drafts, in requests of up to a thousand drafts or 20,000 frames.

        Each request stores all of its drafts or none, and stores them once if it is repeated. With your own
        `idempotency_key`, a repetition from another process is recognised too (for 24 hours). `imported` drafts may
        leave `removed_at` and `quality` unknown.

        InvalidInput names the faulty drafts by their positions in `drafts`. The drafts of earlier requests are stored
        then; if you send them again, they are `known`.
        """
        key = idempotency_key or uuid.uuid4().hex
        recorded: list[Recorded] = []
        checkpoint = 0
        for number, part in enumerate(drafts_in_requests(drafts)):
            headers = {"Idempotency-Key": f"{key}.{number}" if number else key}
            # A service of version 0.1.0 refuses the fields that are not set.
            text = wire.drafts.ContributionsIn.from_domain(part).model_dump_json(exclude_unset=True)
            request = ClientRequest("POST", "/v1/contributions", text, {"imported": 1} if imported else {}, headers)
            with positions_from(len(recorded)), checking_version(self.me, part):
                receipt = self._ask(wire.contributions.ReceiptOut, request).to_domain()
            recorded += _one_for_each(part, receipt.recorded)
            checkpoint = receipt.checkpoint
        return Receipt(tuple(recorded), checkpoint)

    def add_signals(self, additions: Sequence[Addition]) -> Receipt:
        """Add signals to own contributions, up to a thousand contributions a request.

        Each request stores all of its additions or none. A contribution that gets no new signal is `known`.

        InvalidInput names the faulty additions by their positions in `additions`. The additions of earlier requests are
        stored then; if you send them again, they are `known`.
        """
        recorded: list[Recorded] = []
        checkpoint = 0
        for start in range(0, len(additions), DRAFTS_A_REQUEST):
            part = additions[start : start + DRAFTS_A_REQUEST]
            text = wire.additions.AdditionsIn.from_domain(part).model_dump_json()
            with positions_from(start):
                request = ClientRequest("POST", "/v1/contributions/signals", text)
                receipt = self._ask(wire.contributions.ReceiptOut, request).to_domain()
            recorded += _one_for_each(part, receipt.recorded)
            checkpoint = receipt.checkpoint
        return Receipt(tuple(recorded), checkpoint)

    def holding(self, signals: Sequence[Signal]) -> Iterator[Contribution]:
        """The active contributions of this member that have any of these signals, page by page.

        Each request has up to a thousand of the signals, so a contribution may come more than once.
        """
        for start in range(0, len(signals), SIGNALS_A_LOOKUP):
            part = list(signals[start : start + SIGNALS_A_LOOKUP])
            text = wire.additions.LookupIn.build(signals=part).model_dump_json()
            model, path = wire.contributions.ContributionsOut, "/v1/contributions/lookups"
            yield from self._list(model, path, {"limit": 1000}, text=text)

    def match(self, queries: Sequence[Query]) -> Answer:
        """Match queries, in as many requests as needed: a result for each query, in order.

        Every result counts all events of the log up to the seq `checkpoint` of the answer.
        """
        results: list[Result] = []
        checkpoints: list[int] = []
        for part in queries_in_requests(queries):
            text = QueriesIn.from_domain(part).model_dump_json(exclude_unset=True)
            with positions_from(len(results)), checking_version(self.me, part):
                answer = self._ask(AnswerOut, ClientRequest("POST", "/v1/matches", text)).to_domain()
            results += _one_for_each(part, answer.results)
            checkpoints.append(answer.checkpoint)
        return Answer(tuple(results), min(checkpoints))

    def match_media(self, files: Sequence[bytes | BinaryIO], *, transforms: bool = False) -> Answer:
        """A result for each of 1 to 32 pictures and videos, which the service hashes. This may take minutes.

        `transforms` also looks for altered copies. Give a video as an open file, so that it is not read into memory as
        a whole. It is better to hash the files yourself and to use `match`.
        """
        request = form_request("/v1/matches/media", files, params={"transforms": 1} if transforms else {})
        answer = self._ask_later(AnswerOut, request).to_domain()
        _one_for_each(files, answer.results)
        return answer

    def contribute_media(
        self, files: Sequence[bytes | BinaryIO], drafts: Sequence[Draft], *, idempotency_key: str | None = None
    ) -> Receipt:
        """Contribute 1 to 32 pictures and videos, which the service hashes. This may take minutes.

        `drafts` has one draft for each file, or one for all files, without signals. Give files as to `match_media`;
        `idempotency_key` and the receipt are as for `contribute`.
        """
        hashed = {"signals", "quality", "frames", "duration", "signatures"}
        metadata = [wire.drafts.DraftIn.from_domain(draft).model_dump_json(exclude=hashed) for draft in drafts]
        text = metadata[0] if len(metadata) == 1 else f"[{','.join(metadata)}]"
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        request = form_request("/v1/contributions/media", files, fields={"metadata": text}, headers=headers)
        receipt = self._ask_later(wire.contributions.ReceiptOut, request).to_domain()
        _one_for_each(files, receipt.recorded)
        return receipt

    def hash_media(self, files: Sequence[bytes | BinaryIO], *, transforms: bool = False) -> wire.files.PicturesOut:
        """The hashes of 1 to 32 pictures and videos. Give files and `transforms` as to `match_media`."""
        request = form_request("/v1/signals", files, params={"transforms": 1} if transforms else {})
        return self._ask_later(wire.files.PicturesOut, request)

    def contribution(self, id: int) -> Contribution:
        """One contribution, with the fields that this key may see."""
        return self._get(wire.contributions.ContributionOut, f"/v1/contributions/{id}").to_domain()

    def contributions(self, filter: Filter | None = None, *, after: int = 0) -> Iterator[Contribution]:
        """Every contribution that passes the filter, with an id above `after`, page by page."""
        params = _filter_params(filter or Filter()) | {"limit": 1000}
        return self._list(wire.contributions.ContributionsOut, "/v1/contributions", params, after)

    def frames(self, id: int) -> Iterator[Frame]:
        """The frames of a video, or pages and windows of words, in ascending order, without suppressed signals."""
        return self._list(FramesOut, f"/v1/contributions/{id}/frames", {"limit": 1000})

    def amend(self, id: int, change: Amendment) -> Contribution:
        """Change the metadata of a contribution."""
        text = wire.drafts.AmendmentIn.from_domain(change).model_dump_json(exclude_unset=True)
        request = ClientRequest("PATCH", f"/v1/contributions/{id}", text)
        return self._ask(wire.contributions.ContributionOut, request).to_domain()

    def withdraw(self, id: int, reason: str) -> Contribution:
        """Withdraw a contribution."""
        text = wire.drafts.WithdrawalIn.build(reason=reason).model_dump_json()
        path = f"/v1/contributions/{id}/withdrawal"
        return self._post(wire.contributions.ContributionOut, path, text).to_domain()

    def erase(self, id: int, *, at_once: bool = False) -> None:
        """Erase the signals and the reference of a contribution permanently.

        Unless `at_once`, the service keeps the signals, hidden, for 90 days after the withdrawal: readers of other
        protocols need them to know what to delete.
        """
        self._connection.send(ClientRequest("DELETE", f"/v1/contributions/{id}/content{'?now=1' if at_once else ''}"))

    def give_opinion(self, contribution: int, draft: OpinionDraft, *, idempotency_key: str | None = None) -> Opinion:
        """Confirm or dispute another member's contribution. A repeated request counts once.

        With your own `idempotency_key`, a repetition from another process is recognised too (24 hours).
        """
        text = wire.review.OpinionIn.from_domain(draft).model_dump_json()
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        request = ClientRequest("POST", f"/v1/contributions/{contribution}/opinions", text, headers=headers)
        return self._ask(wire.review.OpinionOut, request).to_domain()

    def opinions(self, contribution: int) -> Iterator[Opinion]:
        """Every opinion on a contribution, page by page, the oldest first."""
        return self._list(wire.review.OpinionsOut, f"/v1/contributions/{contribution}/opinions")

    def cases(self, state: CaseState | None = None) -> Iterator[Case]:
        """Every case that this key may see, page by page, in the order of opening."""
        params = {} if state is None else {"state": str(state)}
        return self._list(wire.review.CasesOut, "/v1/cases", params)

    def case(self, id: int) -> Case:
        """One case, with the fields that this key may see."""
        return self._get(wire.review.CaseOut, f"/v1/cases/{id}").to_domain()

    def decide(
        self, case: int, decision: Decision, note: str | None = None, signals: Sequence[int] | None = None
    ) -> Case | Proposal:
        """Decide a case, which is final. Returns a proposal if retiring needs a second person.

        With `retire`, later contributions that are near to one of the contribution's `signals` start quarantined. Give
        the positions of these signals. None: the first signal of each algorithm, and the signals near to it.
        """
        # A service of version 0.1.0 refuses the field `signals`.
        chosen = {} if signals is None else {"signals": list(signals)}
        text = wire.review.DecisionIn.build(decision=decision, note=note, **chosen).model_dump_json(exclude_unset=True)
        return self._post_or_proposal(wire.review.CaseOut, f"/v1/cases/{case}/decision", text).to_domain()

    def changes(self, after: int, *, limit: int = 1000, epoch: str | None = None, wait: int = 0) -> Changes:
        """A page of the feed after the event `after`. If there is no change yet, wait up to `wait` seconds for one.

        With an `epoch`, it raises FeedRestarted if the service has another log now.
        """
        request = ClientRequest(
            "GET", "/v1/changes", params=_feed_params(after, epoch, wait) | {"limit": limit}, extra_seconds=wait
        )
        return self._ask(wire.feed.ChangesOut, request).to_domain()

    def changes_text(self, after: int, *, limit: int, epoch: str | None) -> bytes:
        """A page of the feed as `changes` returns it, as JSON text."""
        request = ClientRequest("GET", "/v1/changes", params=_feed_params(after, epoch, 0) | {"limit": limit})
        return self._connection.send(request).content

    def stream(self, after: int, *, epoch: str | None = None, wait: int = 0) -> Iterator[FeedPage]:
        """The whole feed after the event `after`, in pages of as many changes as arrive together; see `changes`.

        Raises ServiceUnreachable if the connection breaks; the pages until then are valid.
        """
        headers = {"Accept": "application/x-ndjson"}
        request = ClientRequest(
            "GET", "/v1/changes", params=_feed_params(after, epoch, wait), headers=headers, extra_seconds=wait
        )
        for lines in self._connection.stream_lines(request):
            try:
                yield wire.feed.parse_lines(lines)
            except ValueError:
                raise ServiceError(200, NOT_HASHDB) from None

    def reversals(self, after: int = 0) -> Iterator[Reversal]:
        """Every match that this member got and that was reversed after the event `after`, page by page."""
        return self._list(wire.review.ReversalsOut, "/v1/reversals", after=after)

    def benign(self) -> Iterator[BenignEntry]:
        """Every entry of the benign list, page by page."""
        return self._list(BenignsOut, "/v1/benign")

    def add_benign(self, draft: BenignDraft) -> BenignEntry | Proposal:
        """Accept and match nothing close to these signals. Returns a proposal if that needs a second person."""
        text = BenignIn.from_domain(draft).model_dump_json()
        return self._post_or_proposal(BenignOut, "/v1/benign", text).to_domain()

    def delete_benign(self, id: int) -> None:
        """Delete an entry of the benign list."""
        self._connection.send(ClientRequest("DELETE", f"/v1/benign/{id}", safe=False))

    def incidents(self) -> Iterator[Incident]:
        """Every incident, page by page."""
        return self._list(wire.review.IncidentsOut, "/v1/incidents")

    def add_incident(self, draft: IncidentDraft) -> Incident:
        """Open an incident."""
        text = wire.review.IncidentIn.from_domain(draft).model_dump_json()
        return self._post(wire.review.IncidentOut, "/v1/incidents", text).to_domain()

    def change_incident(self, id: int, change: IncidentChange) -> Incident:
        """Change an incident, and with it the contributions under its label."""
        text = wire.review.IncidentChangeIn.from_domain(change).model_dump_json(exclude_unset=True)
        return self._ask(wire.review.IncidentOut, ClientRequest("PATCH", f"/v1/incidents/{id}", text)).to_domain()

    def proposals(self) -> Iterator[Proposal]:
        """Every request that waits for a second person, page by page."""
        return self._list(wire.review.ProposalsOut, "/v1/proposals")

    def drop_proposal(self, id: int) -> None:
        """Drop a proposal."""
        self._connection.send(ClientRequest("DELETE", f"/v1/proposals/{id}", safe=False))

    def webhooks(self) -> Iterator[Webhook]:
        """Every webhook of this member (with scope `admin`, of all members), page by page."""
        return self._list(wire.webhooks.WebhooksOut, "/v1/webhooks")

    def add_webhook(self, draft: WebhookDraft) -> IssuedWebhook:
        """Add a webhook. Its secret is only in this answer."""
        text = wire.webhooks.WebhookIn.from_domain(draft).model_dump_json()
        return self._post(wire.webhooks.WebhookOut, "/v1/webhooks", text).to_issued()

    def change_webhook(self, id: int, change: WebhookChange) -> Webhook:
        """Change a webhook. A webhook that is enabled again continues where it stopped."""
        text = wire.webhooks.WebhookChangeIn.from_domain(change).model_dump_json(exclude_unset=True)
        return self._ask(wire.webhooks.WebhookOut, ClientRequest("PATCH", f"/v1/webhooks/{id}", text)).to_domain()

    def delete_webhook(self, id: int) -> None:
        """Delete a webhook."""
        self._connection.send(ClientRequest("DELETE", f"/v1/webhooks/{id}", safe=False))

    def renew_webhook(self, id: int) -> IssuedWebhook:
        """Give a webhook a new secret, which is only in this answer. The old one also signs for 24 hours."""
        return self._post(wire.webhooks.WebhookOut, f"/v1/webhooks/{id}/secret").to_issued()

    def test_webhook(self, id: int) -> Delivery:
        """Have a test message sent. Poll `delivery` for its outcome, which is known within seconds."""
        return self._post(wire.webhooks.DeliveryOut, f"/v1/webhooks/{id}/test").to_domain()

    def deliveries(self, webhook: int, outcome: DeliveryOutcome | None = None) -> Iterator[Delivery]:
        """Every delivery to a webhook, also waiting ones, page by page, the oldest first."""
        params = {} if outcome is None else {"outcome": str(outcome)}
        return self._list(wire.webhooks.DeliveriesOut, f"/v1/webhooks/{webhook}/deliveries", params)

    def delivery(self, webhook: int, id: int) -> Delivery:
        """One delivery."""
        return self._get(wire.webhooks.DeliveryOut, f"/v1/webhooks/{webhook}/deliveries/{id}").to_domain()

    def redeliver(self, webhook: int, id: int) -> Delivery:
        """Send a delivery again, at once."""
        path = f"/v1/webhooks/{webhook}/deliveries/{id}/redelivery"
        return self._ask(wire.webhooks.DeliveryOut, ClientRequest("POST", path)).to_domain()

    def remember(self, uploads: Sequence[Upload]) -> int:
        """Have a sidecar remember uploads, up to a thousand a request. Return how many it has stored on its disk.

        Each request stores all of its uploads or none. InvalidInput names the faulty uploads by their positions in
        `uploads`. The uploads of earlier requests are stored then.
        """
        remembered = start = 0
        for part in wire.lookback.uploads_in_requests(uploads):
            text = wire.lookback.UploadsIn.from_domain(part).model_dump_json(exclude_unset=True)
            with positions_from(start):
                request = ClientRequest("POST", "/v1/remember", text)
                remembered += self._ask(wire.lookback.RememberedOut, request).remembered
            start += len(part)
        return remembered

    def remembered_matches(
        self, after: int | None = None, *, limit: int = REPORTS_A_REQUEST, wait: int = 0
    ) -> tuple[LookBackReport, ...]:
        """The reports of look-back of a sidecar with numbers above `after`, in order.

        None: those that are not acknowledged. If there is none, it waits up to `wait` seconds (at most 30) for one.
        """
        params = {"limit": limit, "wait": wait} | ({} if after is None else {"after": after})
        request = ClientRequest("GET", "/remembered/matches", params=params, extra_seconds=wait)
        return tuple(report.to_domain() for report in self._ask(wire.lookback.ReportsOut, request).reports)

    def acknowledge(self, number: int) -> None:
        """Tell a sidecar that all reports up to this number are handled: it does not return them again."""
        text = wire.lookback.AcknowledgedIn.build(number=number).model_dump_json()
        self._ask(wire.lookback.AcknowledgedOut, ClientRequest("POST", "/remembered/acknowledged", text))


def _one_for_each(sent: Sequence[object], answered: Sequence[_Item]) -> Sequence[_Item]:
    """What the service answered, if that is one for each item that was sent; else raises ServiceError."""
    if len(answered) != len(sent):
        raise ServiceError(200, NOT_HASHDB)
    return answered


def _feed_params(after: int, epoch: str | None, wait: int) -> dict[str, str | int]:
    return {"after": after, "wait": wait} | ({} if epoch is None else {"epoch": epoch})


def _filter_params(filter: Filter) -> dict[str, str | int]:
    """The fields of a filter that the API accepts, as parameters. Only the console has the other fields."""
    names = ("status", "standing", "label", "member", "since", "until", "tier")
    values = {name: value for name in names if (value := getattr(filter, name)) is not None}
    return {name: format_instant(value) if isinstance(value, datetime) else value for name, value in values.items()}
