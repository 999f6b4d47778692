"""Client: the service's verbs over HTTP, in the same values and with the same errors."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import ValidationError

from hashdb.domain.benign import Benign, BenignDraft
from hashdb.domain.changes import Changes
from hashdb.domain.checkpoints import Checked, Checkpoint, Consistency, Inclusion, Log, read_checkpoint
from hashdb.domain.contributions import Amendment, Contribution, Draft, Filter, Receipt
from hashdb.domain.incidents import Incident, IncidentChange, IncidentDraft
from hashdb.domain.instants import format_instant
from hashdb.domain.matches import Answer, Query
from hashdb.domain.notes import Verifier
from hashdb.domain.proposals import Proposal
from hashdb.errors import BadNote, BadSetting, HashDBError, LogRewritten, ServiceError, ServiceUnreachable
from hashdb.wire import Answered
from hashdb.wire.benign import BenignIn, BenignOut, BenignsOut
from hashdb.wire.changes import ChangesOut
from hashdb.wire.contributions import (
    AmendmentIn,
    ContributionOut,
    ContributionsIn,
    ContributionsOut,
    ReceiptOut,
    WithdrawalIn,
)
from hashdb.wire.incidents import IncidentChangeIn, IncidentIn, IncidentOut, IncidentsOut
from hashdb.wire.matches import AnswerOut, QueriesIn
from hashdb.wire.members import MeOut
from hashdb.wire.problems import error_of
from hashdb.wire.proofs import ConsistencyOut, InclusionOut, LogOut
from hashdb.wire.proposals import ProposalOut, ProposalsOut

_Answer = TypeVar("_Answer", bound=Answered)
_Page = TypeVar("_Page", ContributionsOut, BenignsOut, IncidentsOut, ProposalsOut)


class Client:
    """A member's connection to a service; safe to use from several threads; close it, or use it in a `with`.

    Every verb raises what the service raises (`hashdb.errors`), ServiceUnreachable where there is no answer, and
    ServiceError for an answer that is not hashdb's.
    """

    def __init__(
        self, url: str, key: str, *, timeout: float = 30.0, transport: httpx.BaseTransport | None = None
    ) -> None:
        """`url` is the service's root, `key` a key's secret, `timeout` in seconds. Raises BadSetting."""
        self._url = url.rstrip("/")
        if not self._url.startswith(("http://", "https://")):
            raise BadSetting("HASHDB_URL", "takes an address like https://hashdb.example")
        if not key.isprintable():
            raise BadSetting("HASHDB_KEY", "has characters that cannot be sent")
        try:
            headers = {"Authorization": f"Bearer {key}", "Accept": "application/json"}
            self._http = httpx.Client(base_url=self._url, headers=headers, timeout=timeout, transport=transport)
        except (httpx.InvalidURL, UnicodeEncodeError):
            raise BadSetting("HASHDB_URL or HASHDB_KEY", "has characters that cannot be sent") from None

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
        self._http.close()

    def me(self) -> MeOut:
        """Who this key is, and what the service takes."""
        return self._ask(MeOut, "GET", "/v1/me")

    def contribute(self, drafts: Sequence[Draft], *, idempotency_key: str | None = None) -> Receipt:
        """Record 1 to 1,000 drafts: all, or none. With the same `idempotency_key`, once."""
        headers = {} if idempotency_key is None else {"Idempotency-Key": idempotency_key}
        text = ContributionsIn.of(drafts).model_dump_json()
        return self._ask(ReceiptOut, "POST", "/v1/contributions", text, headers=headers).value()

    def match(self, queries: Sequence[Query]) -> Answer:
        """A result for each of 1 to 1,000 queries, in order."""
        return self._ask(
            AnswerOut, "POST", "/v1/matches", QueriesIn.of(queries).model_dump_json(exclude_unset=True)
        ).value()

    def contribution(self, id: int) -> Contribution:
        """One contribution, as much of it as this key may see."""
        return self._ask(ContributionOut, "GET", f"/v1/contributions/{id}").value()

    def contributions(self, chosen: Filter | None = None) -> Iterator[Contribution]:
        """Every contribution that the filter lets through, page by page."""
        for page in self._pages(ContributionsOut, "/v1/contributions", _query(chosen or Filter())):
            yield from (one.value() for one in page.contributions)

    def amend(self, id: int, change: Amendment) -> Contribution:
        """Change what was said of a contribution."""
        text = AmendmentIn.of(change).model_dump_json(exclude_unset=True)
        return self._ask(ContributionOut, "PATCH", f"/v1/contributions/{id}", text).value()

    def withdraw(self, id: int, reason: str) -> Contribution:
        """Take a contribution back."""
        text = WithdrawalIn.model_construct(reason=reason).model_dump_json()
        return self._ask(ContributionOut, "POST", f"/v1/contributions/{id}/withdrawal", text).value()

    def erase(self, id: int) -> None:
        """Erase the signals and the reference of a contribution for good."""
        self._send("DELETE", f"/v1/contributions/{id}/content")

    def changes(self, after: int, *, limit: int = 1000, epoch: str | None = None, wait: int = 0) -> Changes:
        """A page of the feed after number `after`; at the head it waits up to `wait` seconds for a change."""
        params: dict[str, Any] = {"after": after, "limit": limit, "wait": wait}
        if epoch is not None:
            params["epoch"] = epoch
        return self._ask(ChangesOut, "GET", "/v1/changes", params=params, longer=wait).value()

    def benign(self) -> Iterator[Benign]:
        """Every entry of the benign list, page by page."""
        for page in self._pages(BenignsOut, "/v1/benign"):
            yield from (one.value() for one in page.benign)

    def add_benign(self, draft: BenignDraft) -> Benign | Proposal:
        """Let nothing close to these signals be accepted or matched; a proposal where that takes a second person."""
        response = self._send("POST", "/v1/benign", BenignIn.of(draft).model_dump_json())
        if response.status_code == 202:
            return _read(ProposalOut, response).value()
        return _read(BenignOut, response).value()

    def delete_benign(self, id: int) -> None:
        """Take an entry of the benign list away."""
        self._send("DELETE", f"/v1/benign/{id}")

    def incidents(self) -> Iterator[Incident]:
        """Every incident, page by page."""
        for page in self._pages(IncidentsOut, "/v1/incidents"):
            yield from (one.value() for one in page.incidents)

    def add_incident(self, draft: IncidentDraft) -> Incident:
        """Open an incident."""
        return self._ask(IncidentOut, "POST", "/v1/incidents", IncidentIn.of(draft).model_dump_json()).value()

    def change_incident(self, id: int, change: IncidentChange) -> Incident:
        """Change an incident; what was contributed under its label follows."""
        text = IncidentChangeIn.of(change).model_dump_json(exclude_unset=True)
        return self._ask(IncidentOut, "PATCH", f"/v1/incidents/{id}", text).value()

    def proposals(self) -> Iterator[Proposal]:
        """Every request that waits for a second person, page by page."""
        for page in self._pages(ProposalsOut, "/v1/proposals"):
            yield from (one.value() for one in page.proposals)

    def drop_proposal(self, id: int) -> None:
        """Let a proposal be forgotten."""
        self._send("DELETE", f"/v1/proposals/{id}")

    def log(self) -> Log:
        """The log's name, and the keys that sign its checkpoints."""
        return self._ask(LogOut, "GET", "/v1/log").value()

    def checkpoint(self) -> str:
        """A signed note: how many events there are, and the root of the tree over them."""
        return self._send("GET", "/v1/checkpoint").text

    def inclusion(self, seq: int, size: int) -> Inclusion:
        """The proof that event `seq` is among the first `size`."""
        return self._ask(InclusionOut, "GET", "/v1/proofs/inclusion", params={"seq": seq, "size": size}).value()

    def consistency(self, first: int, second: int) -> Consistency:
        """The proof that the first `second` events begin with what were the first `first`."""
        asked = {"first": first, "second": second}
        return self._ask(ConsistencyOut, "GET", "/v1/proofs/consistency", params=asked).value()

    def check(self, kept: str | None = None) -> Checked:
        """Hold the log against a checkpoint that was kept (None: there is none yet, only the signature is verified).

        Raises LogRewritten where the log did not only grow since, BadNote where a checkpoint is none or not signed.
        """
        note, log = self.checkpoint(), self.log()
        now, key = _signed("the log's checkpoint", note, log)
        if kept is None:
            return Checked(None, now, key, False, note)
        before, old = _signed("the checkpoint that was kept", kept, log)
        if now.size < before.size:
            raise LogRewritten(f"it has {now.size:,} events, and had {before.size:,}")
        if now.origin != before.origin or not self.consistency(before.size, now.size).proves(before, now):
            raise LogRewritten(f"its first {before.size:,} events are not what they were")
        return Checked(before, now, key, key != old, note)

    def _pages(self, model: type[_Page], path: str, asked: dict[str, str | int] | None = None) -> Iterator[_Page]:
        after: int | None = 0
        while after is not None:
            page = self._ask(model, "GET", path, params={**(asked or {}), "after": after})
            yield page
            after = page.next

    def _ask(
        self,
        model: type[_Answer],
        method: str,
        path: str,
        text: str | None = None,
        *,
        params: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        longer: int = 0,
    ) -> _Answer:
        return _read(model, self._send(method, path, text, params=params, headers=headers, longer=longer))

    def _send(
        self,
        method: str,
        path: str,
        text: str | None = None,
        *,
        params: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        longer: int = 0,
    ) -> httpx.Response:
        sent = dict(headers or {}) | ({} if text is None else {"Content-Type": "application/json"})
        request = self._http.build_request(method, path, content=text, params=params, headers=sent)
        if longer:
            request.extensions["timeout"] = {name: seconds + longer for name, seconds in _timeouts(request).items()}
        try:
            response = self._http.send(request)
        except httpx.HTTPError as error:
            raise ServiceUnreachable(self._url, _why(error)) from None
        if response.is_success:
            return response
        raise _error(response)


def _read(model: type[_Answer], response: httpx.Response) -> _Answer:
    try:
        return model.model_validate_json(response.content)
    except ValidationError:
        raise ServiceError(response.status_code, "not an answer of hashdb") from None


def _error(response: httpx.Response) -> HashDBError:
    return error_of(response.status_code, response.content)


def _signed(what: str, note: str, log: Log) -> tuple[Checkpoint, Verifier]:
    try:
        return read_checkpoint(note, log.verifiers)
    except BadNote as error:
        raise BadNote(f"{what}: {error}") from None


def _timeouts(request: httpx.Request) -> dict[str, float]:
    return {name: seconds for name, seconds in request.extensions["timeout"].items() if seconds is not None}


def _why(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "it took too long"
    if isinstance(error, httpx.ConnectError):
        return "it refuses the connection, or is not there"
    return "the connection broke"


def _query(chosen: Filter) -> dict[str, str | int]:
    asked = {
        "status": chosen.status,
        "standing": chosen.standing,
        "label": chosen.label,
        "member": chosen.member,
        "since": None if chosen.since is None else format_instant(chosen.since),
        "until": None if chosen.until is None else format_instant(chosen.until),
    }
    return {name: value for name, value in asked.items() if value is not None}
