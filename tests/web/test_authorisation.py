"""Every route is requested with every scope, for an object of the key's own member and for one of another member."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from werkzeug.test import TestResponse

from hashdb.domain.accounts.members import COMMAND_LINE, MemberChange, MemberStatus, Scope
from hashdb.domain.review.proposals import ProposedChange, TwoPersonAction
from hashdb.domain.sharing.exchanges import bank_name
from hashdb.domain.sharing.webhooks import Topic, WebhookDraft
from hashdb.domain.stats.counts import Hit
from hashdb.service.accounts import members
from hashdb.service.ledger import active_set, checkpoints
from hashdb.service.review import cases
from hashdb.service.stats import counts
from tests.web.authorisations import ALL, OPEN, RIGHTS, Rights
from tests.web.callers import Caller, Service, body, item, pdq, service_at

for_every_route = pytest.mark.parametrize("route", RIGHTS)


class World:
    """A service with a member for each scope and another member. It creates objects of either as tests need them."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.number = count(1)
        self.names: dict[int, str] = {}
        self.callers = {scope: self._caller(scope.capitalize(), scope) for scope in Scope}
        self.with_all_scopes = {caller.member: service.key(caller.member) for caller in self.callers.values()}
        self.other = self._caller("Other")
        self.with_all_scopes[self.other.member] = self.other
        self.other.contribute(item(904))

    def _caller(self, name: str, *scopes: Scope) -> Caller:
        caller = self.service.caller(*scopes, name=name)
        self.names[caller.member] = name
        return caller

    def new_object(self, kind: str | None, member: int) -> tuple[object, ...]:
        """The ids for an address: those of a new object of that kind, which belongs to the member."""
        match kind:
            case None:
                return (1,)
            case "block":
                return 0, 0
            case "member":
                return (member,)
            case "bank":
                return (bank_name(self.names[member]), 1)
            case "key":
                return member, self.service.key(member).key
            case "content":
                return bank_name(self.names[member]), self._contribution(member)
            case "contribution":
                return (self._contribution(member),)
            case "matched":
                return (self._matched(member),)
            case "case":
                return (
                    cases.open_case(self.service.db, COMMAND_LINE, self._contribution(member), "other", holds=False).id,
                )
            case "proposal":
                return (self._proposal(member),)
            case "job":
                # The job of a key that no caller has: even other keys of the member do not see a job.
                with self.service.db.store.begin() as tx:
                    return (tx.answer_jobs.add("key:0", self.service.clock()),)
            case "benign":
                benign = {"signals": [pdq(10_000 + next(self.number))]}
                return (body(self.with_all_scopes[member].post("/v1/benign", benign))["id"],)
            case "webhook":
                return (self._webhook(member),)
            case "delivery":
                hook = self._webhook(member)
                delivery = self.with_all_scopes[member].post(f"/v1/webhooks/{hook}/test").get_json()
                return hook, delivery["id"]
        assert kind == "incident"
        incident = {"label": f"CI:n{next(self.number)}", "start": "2026-11-20T10:00:00Z"}
        return (body(self.with_all_scopes[member].post("/v1/incidents", incident))["id"],)

    def _contribution(self, member: int) -> int:
        (contribution,) = self.with_all_scopes[member].contribute(item(20_000 + next(self.number)))
        return int(contribution["id"])

    def _matched(self, member: int) -> int:
        """A contribution of the member that every caller got as a match."""
        id, now, seq = self._contribution(member), self.service.clock(), self.head()
        hits = [Hit(now.date(), caller.member, id, now, now, seq, 1, {}) for caller in self.callers.values()]
        with self.service.db.store.begin() as tx:
            tx.hits.add(hits)
        return id

    def _webhook(self, member: int) -> int:
        draft = WebhookDraft("https://example.org/hook", (Topic.CASE_OPENED,))
        with self.service.db.store.begin() as tx:
            # Directly in the store: the API limits the webhooks of a member.
            return tx.webhooks.add(member, draft, f"whsec_{next(self.number)}", self.service.clock(), 0).id

    def _proposal(self, member: int) -> int:
        on_case = member == self.other.member
        act, kind = (TwoPersonAction.RETIRE, "case") if on_case else (TwoPersonAction.SUSPEND, "member")
        now = self.service.clock()
        with self.service.db.store.begin() as tx:
            request = ProposedChange(act, kind, next(self.number), {})
            return tx.proposals.add(request, "key:1", "member:1", now, now + timedelta(hours=1)).id

    def head(self) -> int:
        """The number of events in the log."""
        with self.service.db.store.read() as tx:
            return tx.audit.head().seq


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One service for all tests: each request gets a new object."""
    url = f"sqlite:///{tmp_path_factory.mktemp('authorisation')}/hashdb.sqlite"
    with service_at(url, interop_label="glorification") as service:
        checkpoints.start(service.db)
        world = World(service)
        active_set.keep(service.db)
        yield world


def with_plain_ids(rule: str) -> str:
    """The address of a route, with every id called `<id>`."""
    return re.sub(r"<id:\w+>", "<id>", rule)


def send(world: World, caller: Caller, route: str, ids: tuple[object, ...], address: str = "192.0.2.1") -> TestResponse:
    """The answer to a request with the key where the protocol reads it."""
    rights = RIGHTS[route]
    method, _, rule = route.partition(" ")
    left = iter(ids)
    path = re.sub(r"<[^>]+>", lambda _: str(next(left)), rule)
    body_arguments: dict[str, Any] = (
        rights.body() if callable(rights.body) else {"json": rights.body} if rights.body else {}
    )
    query, headers = rights.query, {}
    if rule.startswith("/graph"):
        query = f"access_token={caller.member:08}|{caller.secret}"
    elif rule.startswith("/tat/token-auth"):
        body_arguments = {"data": {"username": world.names.get(caller.member, ""), "password": caller.secret or ""}}
    else:
        headers = {"x-functions-key": caller.secret or ""}
    return caller.request(
        method, path, headers=headers, query_string=query, environ_overrides={"REMOTE_ADDR": address}, **body_arguments
    )


def test_every_route_has_a_row_of_rights(world: World) -> None:
    served = {
        f"{method} {with_plain_ids(str(rule))}"
        for rule in world.service.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not str(rule).startswith("/console")
    }
    assert served == OPEN | RIGHTS.keys()


def test_the_api_document_names_the_scopes_of_each_route(world: World) -> None:
    document = body(world.service.anonymous.get("/openapi.json"))
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            route = f"{method.upper()} {re.sub(r'{[^}]+}', '<id>', path)}"
            if route in OPEN:
                assert operation.get("security") is None
                continue
            _, needed, scopes = operation.get("description", "").rpartition("Needs a key with scope ")
            named = {Scope(name) for name in re.findall(r"`(\w+)`", scopes)} if needed else ALL
            included = {Scope.ADMIN} if named & {Scope.AUDIT, Scope.REVIEW} else set()
            assert named | included == RIGHTS[route].scopes, route


@for_every_route
def test_a_request_without_a_valid_key_is_rejected(world: World, route: str) -> None:
    rights, service = RIGHTS[route], world.service
    address = f"203.0.113.{next(world.number) % 256}"
    revoked = service.key(world.other.member)
    members.revoke_key(service.db, COMMAND_LINE, revoked.key)
    unknown = Caller(service.app.test_client(), "hdb_" + "x" * 43, world.other.member)
    ids, before = world.new_object(rights.subject, world.other.member), world.head()
    for caller in (service.anonymous, unknown, revoked):
        response = send(world, caller, route, ids, address)
        assert response.status_code == 401, response.text
        assert response.headers["WWW-Authenticate"].startswith("Bearer")
    assert world.head() == before


@for_every_route
def test_a_key_of_a_suspended_member_is_rejected(world: World, route: str) -> None:
    service, rights = world.service, RIGHTS[route]
    ids = world.new_object(rights.subject, world.other.member)
    members.change(service.db, COMMAND_LINE, world.other.member, MemberChange(status=MemberStatus.SUSPENDED))
    before = world.head()
    try:
        response = send(world, world.other, route, ids)
    finally:
        unchanged = world.head() == before
        members.change(service.db, COMMAND_LINE, world.other.member, MemberChange(status=MemberStatus.ACTIVE))
    assert response.status_code == 403, response.text
    assert unchanged


@for_every_route
def test_each_scope_allows_exactly_what_its_row_names(world: World, route: str) -> None:
    rights = RIGHTS[route]
    for scope, caller in world.callers.items():
        for owner in (caller.member, world.other.member) if rights.subject else (caller.member,):
            ids = world.new_object(rights.subject, owner)
            # A request may store the counts of earlier ones: those are not changes of its own.
            counts.flush(world.service.db)
            before = world.head()
            response = send(world, caller, route, ids)
            expected = _expected(rights, scope, owner == caller.member)
            assert response.status_code == expected, (route, scope, owner == caller.member, response.text)
            if expected in (403, 404):
                assert world.head() == before
            if scope not in rights.scopes and response.mimetype == "application/problem+json":
                assert response.get_json(force=True)["type"] == "/problems/scope-missing", response.text


def _expected(rights: Rights, scope: Scope, own: bool) -> int:
    if scope not in rights.scopes:
        return 403
    if scope in (rights.own if own else rights.foreign):
        return rights.allowed
    if scope in rights.sees:
        return 403
    return rights.denied if own or rights.denied_foreign is None else rights.denied_foreign
