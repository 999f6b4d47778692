"""Every route, asked with every scope, about what is the member's own and what is another's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from werkzeug.test import TestResponse

from hashdb.domain.accounts.members import COMMAND_LINE, MemberChange, MemberStatus, Scope
from hashdb.domain.review.incidents import ProposedChange, TwoPersonAction
from hashdb.domain.sharing.feed import bank_name
from hashdb.domain.sharing.webhooks import Topic, WebhookDraft
from hashdb.domain.stats.counts import Hit
from hashdb.service.accounts import members
from hashdb.service.ledger import active_set, checkpoints
from hashdb.service.review import cases
from hashdb.service.stats import counts
from tests.web.authorisations import ALL, OPEN, RIGHTS, Rights
from tests.web.callers import Caller, Service, body, item, pdq, service_at

of_every_route = pytest.mark.parametrize("route", RIGHTS)


class World:
    """A service, a member for each scope, another member, and new things of either as they are needed."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.number = count(1)
        self.names: dict[int, str] = {}
        self.callers = {scope: self._caller(scope.capitalize(), scope) for scope in Scope}
        self.whole = {one.member: service.key(one.member) for one in self.callers.values()}
        self.other = self._caller("Other")
        self.whole[self.other.member] = self.other
        self.other.contribute(item(904))

    def _caller(self, name: str, *scopes: Scope) -> Caller:
        made = self.service.caller(*scopes, name=name)
        self.names[made.member] = name
        return made

    def thing(self, kind: str | None, member: int) -> tuple[object, ...]:
        """What fills in an address: the ids of something new of that kind, which is the member's."""
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
            case "answered":
                return (self._answered(member),)
            case "case":
                return (
                    cases.open_case(self.service.db, COMMAND_LINE, self._contribution(member), "other", holds=False).id,
                )
            case "proposal":
                return (self._proposal(member),)
            case "job":
                # Of a key that is none of the callers': not even the member's other keys see it.
                with self.service.db.store.begin() as tx:
                    return (tx.answer_jobs.add("key:0", self.service.clock()),)
            case "benign":
                sent = {"signals": [pdq(10_000 + next(self.number))]}
                return (body(self.whole[member].post("/v1/benign", sent))["id"],)
            case "webhook":
                return (self._webhook(member),)
            case "delivery":
                hook = self._webhook(member)
                made = self.whole[member].post(f"/v1/webhooks/{hook}/test").get_json()
                return hook, made["id"]
        assert kind == "incident"
        sent_now = {"label": f"CI:n{next(self.number)}", "start": "2026-11-20T10:00:00Z"}
        return (body(self.whole[member].post("/v1/incidents", sent_now))["id"],)

    def _contribution(self, member: int) -> int:
        (made,) = self.whole[member].contribute(item(20_000 + next(self.number)))
        return int(made["id"])

    def _answered(self, member: int) -> int:
        """A contribution of the member that every caller was answered as a match."""
        id, now, seq = self._contribution(member), self.service.clock(), self.head()
        hits = [Hit(now.date(), one.member, id, now, now, seq, 1, {}) for one in self.callers.values()]
        with self.service.db.store.begin() as tx:
            tx.hits.add(hits)
        return id

    def _webhook(self, member: int) -> int:
        draft = WebhookDraft("https://example.org/hook", (Topic.CASE_OPENED,))
        with self.service.db.store.begin() as tx:
            # In the store: a member may have only so many.
            return tx.webhooks.add(member, draft, f"whsec_{next(self.number)}", self.service.clock(), 0).id

    def _proposal(self, member: int) -> int:
        on_case = member == self.other.member
        act, kind = (TwoPersonAction.RETIRE, "case") if on_case else (TwoPersonAction.SUSPEND, "member")
        now = self.service.clock()
        with self.service.db.store.begin() as tx:
            request = ProposedChange(act, kind, next(self.number), {})
            return tx.proposals.add(request, "key:1", "member:1", now, now + timedelta(hours=1)).id

    def head(self) -> int:
        """How many changes the log has."""
        with self.service.db.store.read() as tx:
            return tx.audit.head().seq


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One for all: each request finds what it needs made anew."""
    url = f"sqlite:///{tmp_path_factory.mktemp('authorisation')}/hashdb.sqlite"
    with service_at(url, interop_label="glorification") as service:
        checkpoints.start(service.db)
        world = World(service)
        active_set.keep(service.db)
        yield world


def without_id_names(rule: str) -> str:
    """A route's address with what stands in it called the same everywhere."""
    return re.sub(r"<id:\w+>", "<id>", rule)


def asked(
    world: World, caller: Caller, route: str, things: tuple[object, ...], address: str = "192.0.2.1"
) -> TestResponse:
    """The answer to a request, its key where the protocol has it."""
    rights = RIGHTS[route]
    method, _, rule = route.partition(" ")
    left = iter(things)
    path = re.sub(r"<[^>]+>", lambda _: str(next(left)), rule)
    sent: dict[str, Any] = rights.sends() if callable(rights.sends) else {"json": rights.sends} if rights.sends else {}
    query, headers = rights.asks, {}
    if rule.startswith("/graph"):
        query = f"access_token={caller.member:08}|{caller.secret}"
    elif rule.startswith("/tat/token-auth"):
        sent = {"data": {"username": world.names.get(caller.member, ""), "password": caller.secret or ""}}
    else:
        headers = {"x-functions-key": caller.secret or ""}
    return caller.request(
        method, path, headers=headers, query_string=query, environ_overrides={"REMOTE_ADDR": address}, **sent
    )


def test_every_route_has_its_line(world: World) -> None:
    served = {
        f"{method} {without_id_names(str(rule))}"
        for rule in world.service.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if not str(rule).startswith("/console")
    }
    assert served == OPEN | RIGHTS.keys()


def test_the_document_names_the_same_scopes(world: World) -> None:
    document = body(world.service.anonymous.get("/openapi.json"))
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            route = f"{method.upper()} {re.sub(r'{[^}]+}', '<id>', path)}"
            if route in OPEN:
                assert operation.get("security") is None
                continue
            _, needed, told = operation.get("description", "").rpartition("Needs a key with scope ")
            named = {Scope(name) for name in re.findall(r"`(\w+)`", told)} if needed else ALL
            included = {Scope.ADMIN} if named & {Scope.AUDIT, Scope.REVIEW} else set()
            assert named | included == RIGHTS[route].scopes, route


@of_every_route
def test_without_a_valid_key_nothing_is_told(world: World, route: str) -> None:
    rights, service = RIGHTS[route], world.service
    address = f"203.0.113.{next(world.number) % 256}"
    revoked = service.key(world.other.member)
    members.revoke_key(service.db, COMMAND_LINE, revoked.key)
    expired = Caller(service.app.test_client(), "hdb_" + "x" * 43, world.other.member)
    things, before = world.thing(rights.of, world.other.member), world.head()
    for caller in (service.anonymous, expired, revoked):
        answer = asked(world, caller, route, things, address)
        assert answer.status_code == 401, answer.text
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert world.head() == before


@of_every_route
def test_of_a_suspended_member_no_key_opens_anything(world: World, route: str) -> None:
    service, rights = world.service, RIGHTS[route]
    things = world.thing(rights.of, world.other.member)
    members.change(service.db, COMMAND_LINE, world.other.member, MemberChange(status=MemberStatus.SUSPENDED))
    before = world.head()
    try:
        answer = asked(world, world.other, route, things)
    finally:
        unchanged = world.head() == before
        members.change(service.db, COMMAND_LINE, world.other.member, MemberChange(status=MemberStatus.ACTIVE))
    assert answer.status_code == 403, answer.text
    assert unchanged


@of_every_route
def test_each_scope_opens_what_it_names_and_nothing_else(world: World, route: str) -> None:
    rights = RIGHTS[route]
    for scope, caller in world.callers.items():
        for owner in (caller.member, world.other.member) if rights.of else (caller.member,):
            things = world.thing(rights.of, owner)
            # What a request stores of earlier ones is no change that it makes.
            counts.flush(world.service.db)
            before = world.head()
            answer = asked(world, caller, route, things)
            expected = _expected(rights, scope, owner == caller.member)
            assert answer.status_code == expected, (route, scope, owner == caller.member, answer.text)
            if expected in (403, 404):
                assert world.head() == before
            if scope not in rights.scopes and answer.mimetype == "application/problem+json":
                assert answer.get_json(force=True)["type"] == "/problems/scope-missing", answer.text


def _expected(rights: Rights, scope: Scope, own: bool) -> int:
    if scope not in rights.scopes:
        return 403
    if scope in (rights.own if own else rights.foreign):
        return rights.answers
    if scope in rights.told:
        return 403
    return rights.otherwise if own or rights.elsewhere is None else rights.elsewhere
