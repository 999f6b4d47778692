"""No route lets one key, or one user of the console, append to the log or to a table without a bound."""

from __future__ import annotations

import re

import pytest
from werkzeug.test import TestResponse

from hashdb.domain.accounts.budgets import Budget
from hashdb.domain.accounts.members import Actor, Scope
from hashdb.domain.accounts.users import Role
from hashdb.web.limits import budgets_of
from tests.web.callers import Caller, Service, body, item, problem
from tests.web.console.visitors import sign_in_new_user

READING = {"GET", "HEAD", "OPTIONS"}
OTHERWISE = {
    "contributions.create_contributions": "by contribution, up to a thousand in a request; and the member's limit",
    "contributions.contribute_pictures": "by contribution; and pictures wait to be hashed",
    "contributions.add_signals": "by contribution",
    "contributions.add_signals_to_many": "by contribution",
    "contributions.look_up_contributions": "it writes nothing",
    "hma.add_content": "by contribution",
    "hma.add_signal": "by contribution",
    "stopncii.submit": "by contribution",
    "threatexchange.describe": "by contribution",
    "matches.match_signals": "by query and signal; it writes counts, which are summed up by day",
    "matches.match_pictures": "by query and signal",
    "hma.lookup_upload": "by query and signal",
    "signals.hash_pictures": "it writes nothing",
    "hma.hash_upload": "it writes nothing",
    "hma.compare": "it writes nothing",
    "tat.log_in": "it writes nothing",
}
"""Routes of the API that use no budget of changes, each with what bounds it."""
SIGNING_IN = {
    "console.nowhere": "it is no page",
    "console.sessions.begin": "a password is hashed for each; failures make user and address wait",
    "console.sessions.confirm": "a code is used up by each; failures make user and address wait",
}
"""Routes of the console that come before a user is known."""
ASKING = {"console.neighbors.find", "console.compare.compare", "console.find.look_up"}
"""Forms of the console that write nothing."""


def _rules(service: Service) -> list[tuple[str, str, str]]:
    """The method, the address with ids filled in, and the endpoint, of every route that may change something."""
    return [
        (method, re.sub("<[^>]*>", "99", rule.rule), rule.endpoint)
        for rule in service.app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - READING)
    ]


def _use_up(service: Service, actor: str) -> None:
    """Leave an actor no change for now."""
    who = Actor(actor, frozenset())
    (found,) = service.db.budgets.left(who, [Budget.CHANGES], service.db.now())
    service.db.budgets.spend(who, ((Budget.CHANGES, found.left),), service.db.now())


def _asked(service: Service, caller: Caller, method: str, path: str) -> TestResponse:
    """The answer to a request with a key, wherever the protocol has it."""
    headers = {"x-functions-key": str(caller.secret)}
    token = f"access_token={caller.member}|{caller.secret}" if path.startswith("/graph/") else ""
    return caller.request(method, path, headers=headers, query_string=token)


def test_every_route_that_may_append_is_bounded_for_a_key(service: Service) -> None:
    caller = service.caller(*Scope)
    seen = set()
    for method, path, endpoint in _rules(service):
        if endpoint.startswith("console."):
            continue
        allowed = _asked(service, caller, method, path)
        assert allowed.status_code != 429, (method, path)
        _use_up(service, f"key:{caller.key}")
        refused = _asked(service, caller, method, path)
        if endpoint in OTHERWISE:
            seen.add(endpoint)
            assert refused.status_code != 429, (method, path)
        else:
            assert refused.status_code == 429, (method, path, refused.status)
            assert 1 <= int(refused.headers["Retry-After"]) <= 6
        service.clock.go(seconds=6)
    assert seen == set(OTHERWISE)


def test_every_form_of_the_console_is_bounded_for_a_user(service: Service) -> None:
    ada = sign_in_new_user(service, "ada", Role.ADMIN)
    # The page that makes the forms is asked for while it is still answered.
    assert ada.post("/console/theme", {"theme": "dark"}).status_code == 303
    for method, path, endpoint in _rules(service):
        if not endpoint.startswith("console.") or endpoint in SIGNING_IN:
            continue
        _use_up(service, "user:1")
        assert (ada.post(path).status_code == 429) == (endpoint not in ASKING), (method, path)
        service.clock.go(seconds=6)


@pytest.mark.parametrize("endpoint", sorted(OTHERWISE))
def test_what_uses_no_budget_of_changes_uses_another_or_writes_nothing(endpoint: str) -> None:
    used = budgets_of("POST", endpoint)
    assert bool(used) == (OTHERWISE[endpoint] != "it writes nothing")


def test_a_burst_of_changes_is_refused_and_goes_on_later(service: Service, platform: Caller) -> None:
    (made,) = platform.contribute(item())
    path = f"/v1/contributions/{made['id']}"
    before = service.rows()["events"]
    told = [platform.patch(path, {"severity": number % 5}).status_code for number in range(100)]
    assert told == [200] * 60 + [429] * 40
    assert service.rows()["events"] - before <= 60
    service.clock.go(seconds=6)
    assert platform.patch(path, {"severity": 1}).status_code == 200


def test_three_hundred_disputes_open_a_hundred_cases(service: Service, platform: Caller, other: Caller) -> None:
    ids = [one["id"] for one in platform.contribute(*map(item, range(300)))]
    told = []
    for id in ids:
        told.append(other.post(f"/v1/contributions/{id}/opinions", {"opinion": "disputes", "reason": "other"}))
        service.clock.go(seconds=0.2)
    assert [one.status_code for one in told] == [201] * 100 + [429] * 200
    said = problem(told[-1], 429, "limit-reached")
    assert said["detail"].startswith("the limit of 100 disputes an hour by one key (budget `disputes`, renews at")
    assert service.rows()["cases"] == 100


def test_webhook_tests_are_bounded(service: Service, platform: Caller) -> None:
    hook = body(platform.post("/v1/webhooks", {"url": "https://hooks.example/x", "topics": ["feed.changed"]}))
    told = [platform.post(f"/v1/webhooks/{hook['id']}/test").status_code for _ in range(80)]
    assert told == [202] * 59 + [429] * 21
