"""Client: the service's verbs over HTTP, in the same values and with the same errors."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self, TypeVar

import httpx
from pydantic import ValidationError

from hashdb.connection import Params, ClientRequest, Connection
from hashdb.domain.contributions import Amendment, Contribution, Draft, Filter, Receipt, Recorded
from hashdb.domain.ledger.checkpoints import Checked, Checkpoint, Consistency, Inclusion, Log, Verifier, read_checkpoint
from hashdb.domain.matching.benign import Benign, BenignDraft
from hashdb.domain.matching.matches import Answer, Query, Result
from hashdb.domain.review.cases import Case, CaseState, Decision, Opinion, OpinionDraft
from hashdb.domain.review.incidents import Incident, IncidentChange, IncidentDraft, Proposal
from hashdb.domain.rules import DRAFTS_A_REQUEST
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
from hashdb.domain.times import format_instant
from hashdb.errors import BadNote, BadSetting, LogRewritten, ServiceError
from hashdb.wire import Answered
from hashdb.wire.accounts import MeOut
from hashdb.wire.contributions import (
    AmendmentIn,
    ContributionOut,
    ContributionsIn,
    ContributionsOut,
    ReceiptOut,
    WithdrawalIn,
)
from hashdb.wire.ledger import ConsistencyOut, InclusionOut, LogOut
from hashdb.wire.matching import AnswerOut, BenignIn, BenignOut, BenignsOut, QueriesIn, in_requests
from hashdb.wire.problems import positions_from
from hashdb.wire.review import (
    CaseOut,
    CasesOut,
    DecisionIn,
    IncidentChangeIn,
    IncidentIn,
    IncidentOut,
    IncidentsOut,
    OpinionIn,
    OpinionOut,
    OpinionsOut,
    ProposalOut,
    ProposalsOut,
    ReversalsOut,
)
from hashdb.wire.sharing.feed import (
    ChangesOut,
    DeliveriesOut,
    DeliveryOut,
    WebhookChangeIn,
    WebhookIn,
    WebhookOut,
    WebhooksOut,
    read_lines,
)

_Body = TypeVar("_Body", bound=Answered)
_Page = TypeVar(
    "_Page",
    ContributionsOut,
    OpinionsOut,
    CasesOut,
    ReversalsOut,
    BenignsOut,
    IncidentsOut,
    ProposalsOut,
    WebhooksOut,
    DeliveriesOut,
)


class Client:
    """A member's connection to a service; safe to use from several threads; close it, or use it in a `with`.

    Every verb raises what the service raises (`hashdb.errors`), ServiceUnreachable where there is no answer, and
    ServiceError for an answer that is not hashdb's.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        timeout: float = 30.0,
        retries: int = 3,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """`url` is the service's root, `key` a key's secret, `timeout` in seconds. Raises BadSetting.

        A request that was not answered, or with 429 or 503, is sent up to `retries` times more, where that does no
        harm: after what `Retry-After` says (up to 30 seconds), else after pauses that grow.
        """
        self.url = url
        self._connection = Connection(url, key, timeout, retries, transport)

    @classmethod
    def from_environment(cls) -> Self:
        """A client for HASHDB_URL and HASHDB_KEY, without the white space around them. Raises BadSetting."""
        key = os.environ.get("HASHDB_KEY", "").strip()
        if not key:
            raise BadSetting("HASHDB_KEY", "is not set: put the secret of your key there")
        return cls(os.environ.get("HASHDB_URL", "http://127.0.0.1:8000").strip(), key)

    def __enter__(self) -> Self:
        """Use the client in a `with` block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the connections."""
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._connection.close()

    def me(self) -> MeOut:
        """Who this key is, and what the service takes."""
        return self._ask(MeOut, ClientRequest("GET", "/v1/me"))

    def contribute(
        self, drafts: Sequence[Draft], *, idempotency_key: str | None = None, imported: bool = False
    ) -> Receipt:
        """Record drafts, a thousand a request: each request's all or none, and once, however often it is sent.

        With an `idempotency_key` of your own, that holds across processes too (24 hours). `imported` ones may leave
        `removed_at` and `quality` unknown. Of what is refused, InvalidInput tells by positions in `drafts`; the
        thousands before it are recorded then, and when they are sent again, known.
        """
        key = idempotency_key or uuid.uuid4().hex
        recorded: list[Recorded] = []
        checkpoint = 0
        for number, start in enumerate(range(0, max(1, len(drafts)), DRAFTS_A_REQUEST)):
            headers = {"Idempotency-Key": f"{key}.{number}" if number else key}
            text = ContributionsIn.from_domain(drafts[start : start + DRAFTS_A_REQUEST]).model_dump_json()
            request = ClientRequest("POST", "/v1/contributions", text, {"imported": 1} if imported else {}, headers)
            with positions_from(start):
                receipt = self._ask(ReceiptOut, request).to_domain()
            recorded += receipt.recorded
            checkpoint = receipt.checkpoint
        return Receipt(tuple(recorded), checkpoint)

    def match(self, queries: Sequence[Query]) -> Answer:
        """A result for each query, in order, level with `checkpoint` at least; as many requests as it takes."""
        results: list[Result] = []
        checkpoints: list[int] = []
        for part in in_requests(queries):
            text = QueriesIn.from_domain(part).model_dump_json(exclude_unset=True)
            with positions_from(len(results)):
                answer = self._ask(AnswerOut, ClientRequest("POST", "/v1/matches", text)).to_domain()
            results += answer.results
            checkpoints.append(answer.checkpoint)
        return Answer(tuple(results), min(checkpoints))

    def match_media(self, pictures: Sequence[bytes], *, transforms: bool = False) -> Answer:
        """A result for each of 1 to 32 pictures, which the service hashes. Better hash here, and `match`."""
        files = tuple((f"{number}", octets) for number, octets in enumerate(pictures))
        params = {"transforms": 1} if transforms else {}
        return self._ask(AnswerOut, ClientRequest("POST", "/v1/matches/media", params=params, files=files)).to_domain()

    def contribution(self, id: int) -> Contribution:
        """One contribution, as much of it as this key may see."""
        return self._ask(ContributionOut, ClientRequest("GET", f"/v1/contributions/{id}")).to_domain()

    def contributions(self, filter: Filter | None = None) -> Iterator[Contribution]:
        """Every contribution that the filter lets through, page by page."""
        params = _filter_params(filter or Filter()) | {"limit": 1000}
        for page in self._pages(ContributionsOut, "/v1/contributions", params):
            yield from (contribution.to_domain() for contribution in page.contributions)

    def amend(self, id: int, change: Amendment) -> Contribution:
        """Change what was said of a contribution."""
        text = AmendmentIn.from_domain(change).model_dump_json(exclude_unset=True)
        return self._ask(ContributionOut, ClientRequest("PATCH", f"/v1/contributions/{id}", text)).to_domain()

    def withdraw(self, id: int, reason: str) -> Contribution:
        """Take a contribution back."""
        text = WithdrawalIn.model_construct(reason=reason).model_dump_json()
        request = ClientRequest("POST", f"/v1/contributions/{id}/withdrawal", text, safe=False)
        return self._ask(ContributionOut, request).to_domain()

    def erase(self, id: int, *, at_once: bool = False) -> None:
        """Erase the signals and the reference of a contribution for good.

        The signals are kept, unseen, for 90 days after the withdrawal to tell readers by, unless `at_once`.
        """
        self._connection.send(ClientRequest("DELETE", f"/v1/contributions/{id}/content{'?now=1' if at_once else ''}"))

    def give_opinion(self, contribution: int, draft: OpinionDraft, *, idempotency_key: str | None = None) -> Opinion:
        """Confirm or dispute another member's contribution: once, however often it is sent.

        With an `idempotency_key` of your own, that holds across processes too (24 hours).
        """
        path, text = f"/v1/contributions/{contribution}/opinions", OpinionIn.from_domain(draft).model_dump_json()
        headers = {"Idempotency-Key": idempotency_key or uuid.uuid4().hex}
        return self._ask(OpinionOut, ClientRequest("POST", path, text, headers=headers)).to_domain()

    def opinions(self, contribution: int) -> Iterator[Opinion]:
        """Every opinion on a contribution, page by page, in the order in which they were given."""
        for page in self._pages(OpinionsOut, f"/v1/contributions/{contribution}/opinions"):
            yield from (opinion.to_domain() for opinion in page.opinions)

    def cases(self, state: CaseState | None = None) -> Iterator[Case]:
        """Every case that this key may see, page by page, in the order of their opening."""
        params = {} if state is None else {"state": str(state)}
        for page in self._pages(CasesOut, "/v1/cases", params):
            yield from (case.to_domain() for case in page.cases)

    def case(self, id: int) -> Case:
        """One case, as much of it as this key may see."""
        return self._ask(CaseOut, ClientRequest("GET", f"/v1/cases/{id}")).to_domain()

    def decide(
        self, case: int, decision: Decision, note: str | None = None, signals: Sequence[int] | None = None
    ) -> Case | Proposal:
        """Decide a case, once; a proposal where retiring takes a second person.

        To retire, `signals` names the places of the signals near which later contributions wait (None: the usual ones).
        """
        body = DecisionIn.model_construct(
            decision=decision, note=note, signals=None if signals is None else list(signals)
        )
        # A service of 0.1.0 knows no signals.
        text = body.model_dump_json(exclude={"signals"} if signals is None else None)
        return self._ask_or_proposal(CaseOut, ClientRequest("POST", f"/v1/cases/{case}/decision", text, safe=False)).to_domain()

    def changes(self, after: int, *, limit: int = 1000, epoch: str | None = None, wait: int = 0) -> Changes:
        """A page of the feed after number `after`; at the head it waits up to `wait` seconds for a change."""
        request = ClientRequest("GET", "/v1/changes", params=_feed_params(after, epoch, wait) | {"limit": limit}, extra_seconds=wait)
        return self._ask(ChangesOut, request).to_domain()

    def stream(self, after: int, *, epoch: str | None = None, wait: int = 0) -> Iterator[FeedPage]:
        """All of the feed after number `after`, some at a time as they come, as a copy takes them in.

        Raises ServiceUnreachable where it breaks off; what came until then is right.
        """
        headers = {"Accept": "application/x-ndjson"}
        request = ClientRequest("GET", "/v1/changes", params=_feed_params(after, epoch, wait), headers=headers, extra_seconds=wait)
        for lines in self._connection.lines(request):
            try:
                yield read_lines(lines)
            except ValueError:
                raise ServiceError(200, "not an answer of hashdb") from None

    def reversals(self, after: int = 0) -> Iterator[Reversal]:
        """What this member was given as a match and is none any more, above a number, page by page."""
        for page in self._pages(ReversalsOut, "/v1/reversals", after=after):
            yield from (reversal.to_domain() for reversal in page.reversals)

    def benign(self) -> Iterator[Benign]:
        """Every entry of the benign list, page by page."""
        for page in self._pages(BenignsOut, "/v1/benign"):
            yield from (entry.to_domain() for entry in page.benign)

    def add_benign(self, draft: BenignDraft) -> Benign | Proposal:
        """Let nothing close to these signals be accepted or matched; a proposal where that takes a second person."""
        text = BenignIn.from_domain(draft).model_dump_json()
        return self._ask_or_proposal(BenignOut, ClientRequest("POST", "/v1/benign", text, safe=False)).to_domain()

    def delete_benign(self, id: int) -> None:
        """Take an entry of the benign list away."""
        self._connection.send(ClientRequest("DELETE", f"/v1/benign/{id}", safe=False))

    def incidents(self) -> Iterator[Incident]:
        """Every incident, page by page."""
        for page in self._pages(IncidentsOut, "/v1/incidents"):
            yield from (incident.to_domain() for incident in page.incidents)

    def add_incident(self, draft: IncidentDraft) -> Incident:
        """Open an incident."""
        text = IncidentIn.from_domain(draft).model_dump_json()
        return self._ask(IncidentOut, ClientRequest("POST", "/v1/incidents", text, safe=False)).to_domain()

    def change_incident(self, id: int, change: IncidentChange) -> Incident:
        """Change an incident; what was contributed under its label follows."""
        text = IncidentChangeIn.from_domain(change).model_dump_json(exclude_unset=True)
        return self._ask(IncidentOut, ClientRequest("PATCH", f"/v1/incidents/{id}", text)).to_domain()

    def proposals(self) -> Iterator[Proposal]:
        """Every request that waits for a second person, page by page."""
        for page in self._pages(ProposalsOut, "/v1/proposals"):
            yield from (proposal.to_domain() for proposal in page.proposals)

    def drop_proposal(self, id: int) -> None:
        """Let a proposal be forgotten."""
        self._connection.send(ClientRequest("DELETE", f"/v1/proposals/{id}", safe=False))

    def webhooks(self) -> Iterator[Webhook]:
        """Every webhook of this member (of everybody with scope `admin`), page by page."""
        for page in self._pages(WebhooksOut, "/v1/webhooks"):
            yield from (webhook.to_domain() for webhook in page.webhooks)

    def add_webhook(self, draft: WebhookDraft) -> IssuedWebhook:
        """Make a webhook; its secret is in the answer and nowhere else."""
        text = WebhookIn.from_domain(draft).model_dump_json()
        return self._ask(WebhookOut, ClientRequest("POST", "/v1/webhooks", text, safe=False)).to_issued()

    def change_webhook(self, id: int, change: WebhookChange) -> Webhook:
        """Change a webhook; one that is enabled again goes on where it was."""
        text = WebhookChangeIn.from_domain(change).model_dump_json(exclude_unset=True)
        return self._ask(WebhookOut, ClientRequest("PATCH", f"/v1/webhooks/{id}", text)).to_domain()

    def delete_webhook(self, id: int) -> None:
        """Delete a webhook."""
        self._connection.send(ClientRequest("DELETE", f"/v1/webhooks/{id}", safe=False))

    def renew_webhook(self, id: int) -> IssuedWebhook:
        """Give a webhook another secret, which is in the answer; the one before signs beside it for a day."""
        return self._ask(WebhookOut, ClientRequest("POST", f"/v1/webhooks/{id}/secret", safe=False)).to_issued()

    def test_webhook(self, id: int) -> Delivery:
        """Have a message sent that tells of nothing; `delivery` tells within seconds what became of it."""
        return self._ask(DeliveryOut, ClientRequest("POST", f"/v1/webhooks/{id}/test", safe=False)).to_domain()

    def deliveries(self, webhook: int, outcome: DeliveryOutcome | None = None) -> Iterator[Delivery]:
        """What was delivered to a webhook and what waits, page by page, the oldest first."""
        params = {} if outcome is None else {"outcome": str(outcome)}
        for page in self._pages(DeliveriesOut, f"/v1/webhooks/{webhook}/deliveries", params):
            yield from (delivery.to_domain() for delivery in page.deliveries)

    def delivery(self, webhook: int, id: int) -> Delivery:
        """One delivery."""
        return self._ask(DeliveryOut, ClientRequest("GET", f"/v1/webhooks/{webhook}/deliveries/{id}")).to_domain()

    def redeliver(self, webhook: int, id: int) -> Delivery:
        """Send a delivery again, at once."""
        path = f"/v1/webhooks/{webhook}/deliveries/{id}/redelivery"
        return self._ask(DeliveryOut, ClientRequest("POST", path)).to_domain()

    def log(self) -> Log:
        """The log's name, and the keys that sign its checkpoints."""
        return self._ask(LogOut, ClientRequest("GET", "/v1/log")).to_domain()

    def checkpoint(self) -> str:
        """A signed note: how many events there are, and the root of the tree over them."""
        return self._connection.send(ClientRequest("GET", "/v1/checkpoint")).text

    def inclusion(self, seq: int, size: int) -> Inclusion:
        """The proof that event `seq` is among the first `size`."""
        request = ClientRequest("GET", "/v1/proofs/inclusion", params={"seq": seq, "size": size})
        return self._ask(InclusionOut, request).to_domain()

    def consistency(self, first: int, second: int) -> Consistency:
        """The proof that the first `second` events begin with what were the first `first`."""
        params = {"first": first, "second": second}
        return self._ask(ConsistencyOut, ClientRequest("GET", "/v1/proofs/consistency", params=params)).to_domain()

    def check(self, kept: str | None = None) -> Checked:
        """Hold the log against a checkpoint that was kept (None: there is none yet, only the signature is verified).

        Raises LogRewritten where the log did not only grow since, BadNote where a checkpoint is none or not signed,
        ScopeMissing where it has grown and this key may not ask for the proof (scope `audit`).
        """
        note, log = self.checkpoint(), self.log()
        current, verifier = _read_signed("the log's checkpoint", note, log)
        if kept is None:
            return Checked(None, current, verifier, False, note)
        earlier, earlier_verifier = _read_signed("the checkpoint that was kept", kept, log)
        if current.size < earlier.size:
            raise LogRewritten(f"it has {current.size:,} events, and had {earlier.size:,}")
        if current.origin != earlier.origin or not self._only_grew(earlier, current):
            raise LogRewritten(f"its first {earlier.size:,} events are not what they were")
        return Checked(earlier, current, verifier, verifier != earlier_verifier, note)

    def _only_grew(self, earlier: Checkpoint, current: Checkpoint) -> bool:
        # Of the same size there is nothing to prove, and so nothing to ask.
        if earlier.size == current.size:
            return earlier.root == current.root
        return self.consistency(earlier.size, current.size).proves(earlier, current)

    def _pages(
        self, model: type[_Page], path: str, params: Params | None = None, after: int | None = 0
    ) -> Iterator[_Page]:
        while after is not None:
            page = self._ask(model, ClientRequest("GET", path, params={**(params or {}), "after": after}))
            yield page
            after = page.next

    def _ask_or_proposal(self, model: type[_Body], request: ClientRequest) -> _Body | ProposalOut:
        """What was done, or the proposal that it waits as."""
        response = self._connection.send(request)
        return _read(ProposalOut, response) if response.status_code == 202 else _read(model, response)

    def _ask(self, model: type[_Body], request: ClientRequest) -> _Body:
        return _read(model, self._connection.send(request))


def _read(model: type[_Body], response: httpx.Response) -> _Body:
    try:
        return model.model_validate_json(response.content)
    except ValidationError:
        raise ServiceError(response.status_code, "not an answer of hashdb") from None


def _read_signed(name: str, note: str, log: Log) -> tuple[Checkpoint, Verifier]:
    try:
        return read_checkpoint(note, log.verifiers)
    except BadNote as error:
        raise BadNote(f"{name}: {error}") from None


def _feed_params(after: int, epoch: str | None, wait: int) -> dict[str, str | int]:
    return {"after": after, "wait": wait} | ({} if epoch is None else {"epoch": epoch})


def _filter_params(filter: Filter) -> dict[str, str | int]:
    params = {
        "status": filter.status,
        "standing": filter.standing,
        "label": filter.label,
        "member": filter.member,
        "since": None if filter.since is None else format_instant(filter.since),
        "until": None if filter.until is None else format_instant(filter.until),
    }
    return {name: value for name, value in params.items() if value is not None}
