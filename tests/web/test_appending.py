"""Every route limits how much one key, or one user of the console, can append to the log or to a table."""

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

READ_METHODS = {"GET", "HEAD", "OPTIONS"}
OTHER_LIMITS = {
    "contributions.create_contributions": "by contribution, up to a thousand in a request, and by the member's limit",
    "contributions.contribute_pictures": "by contribution, and by the queue of pictures",
    "contributions.add_signals": "by contribution",
    "contributions.add_signals_to_many": "by contribution",
    "contributions.look_up_contributions": "it writes nothing",
    "hma.add_content": "by contribution",
    "hma.add_signal": "by contribution",
    "stopncii.submit": "by contribution",
    "threatexchange.describe": "by contribution",
    "matches.match_signals": "by query and signal; it writes counts, one row a day for each kind",
    "matches.match_pictures": "by query and signal",
    "hma.lookup_upload": "by query and signal",
    "signals.hash_pictures": "it writes nothing",
    "hma.hash_upload": "it writes nothing",
    "hma.compare": "it writes nothing",
    "tat.log_in": "it writes nothing",
}
"""The routes of the API that use no budget of changes, and the limit of each."""
BEFORE_SIGN_IN = {
    "console.nowhere": "it is the answer to an address without a page",
    "console.sessions.begin": "each request costs a password hash; after failures the user and the address must wait",
    "console.sessions.confirm": "each request uses up a code; after failures the user and the address must wait",
}
"""The routes of the console before sign-in, and the limit of each."""
READ_ONLY_FORMS = {"console.neighbors.find", "console.compare.compare", "console.find.look_up"}
"""The forms of the console that write nothing."""


def _rules(service: Service) -> list[tuple[str, str, str]]:
    """The method, the address with ids filled in, and the endpoint of every route that can change something."""
    return [
        (method, re.sub("<[^>]*>", "99", rule.rule), rule.endpoint)
        for rule in service.app.url_map.iter_rules()
        for method in sorted((rule.methods or set()) - READ_METHODS)
    ]


def _use_up(service: Service, actor: str) -> None:
    """Use up the budget of changes of an actor."""
    spender = Actor(actor, frozenset())
    (budget,) = service.db.budgets.left(spender, [Budget.CHANGES], service.db.now())
    service.db.budgets.spend(spender, ((Budget.CHANGES, budget.left),), service.db.now())


def _request(service: Service, caller: Caller, method: str, path: str) -> TestResponse:
    """The answer to a request with the key in every place where a protocol reads it."""
    headers = {"x-functions-key": str(caller.secret)}
    token = f"access_token={caller.member}|{caller.secret}" if path.startswith("/graph/") else ""
    return caller.request(method, path, headers=headers, query_string=token)


def test_every_api_route_that_can_append_limits_a_key(service: Service) -> None:
    caller = service.caller(*Scope)
    checked = set()
    for method, path, endpoint in _rules(service):
        if endpoint.startswith("console."):
            continue
        allowed = _request(service, caller, method, path)
        assert allowed.status_code != 429, (method, path)
        _use_up(service, f"key:{caller.key}")
        rejected = _request(service, caller, method, path)
        if endpoint in OTHER_LIMITS:
            checked.add(endpoint)
            assert rejected.status_code != 429, (method, path)
        else:
            assert rejected.status_code == 429, (method, path, rejected.status)
            assert 1 <= int(rejected.headers["Retry-After"]) <= 6
        service.clock.advance(seconds=6)
    assert checked == set(OTHER_LIMITS)


def test_every_form_of_the_console_that_writes_limits_a_user(service: Service) -> None:
    ada = sign_in_new_user(service, "ada", Role.ADMIN)
    # This loads the secret of the forms before the budget is used up.
    assert ada.post("/console/theme", {"theme": "dark"}).status_code == 303
    for method, path, endpoint in _rules(service):
        if not endpoint.startswith("console.") or endpoint in BEFORE_SIGN_IN:
            continue
        _use_up(service, "user:1")
        assert (ada.post(path).status_code == 429) == (endpoint not in READ_ONLY_FORMS), (method, path)
        service.clock.advance(seconds=6)


@pytest.mark.parametrize("endpoint", sorted(OTHER_LIMITS))
def test_a_route_without_a_budget_of_changes_has_another_or_writes_nothing(endpoint: str) -> None:
    used = budgets_of("POST", endpoint)
    assert bool(used) == (OTHER_LIMITS[endpoint] != "it writes nothing")


def test_a_burst_of_changes_is_rejected_until_the_budget_renews(service: Service, platform: Caller) -> None:
    (contribution,) = platform.contribute(item())
    path = f"/v1/contributions/{contribution['id']}"
    before = service.rows()["events"]
    statuses = [platform.patch(path, {"severity": n % 5}).status_code for n in range(100)]
    assert statuses == [200] * 60 + [429] * 40
    assert service.rows()["events"] - before <= 60
    service.clock.advance(seconds=6)
    assert platform.patch(path, {"severity": 1}).status_code == 200


def test_one_key_can_dispute_100_contributions_an_hour(service: Service, platform: Caller, other: Caller) -> None:
    ids = [response["id"] for response in platform.contribute(*map(item, range(300)))]
    responses = []
    for id in ids:
        responses.append(other.post(f"/v1/contributions/{id}/opinions", {"opinion": "disputes", "reason": "other"}))
        service.clock.advance(seconds=0.2)
    assert [response.status_code for response in responses] == [201] * 100 + [429] * 200
    details = problem(responses[-1], 429, "limit-reached")
    assert details["detail"].startswith("the limit of 100 disputes an hour by one key (budget `disputes`, renews at")
    assert service.rows()["cases"] == 100


def test_test_messages_of_a_webhook_are_limited(service: Service, platform: Caller) -> None:
    hook = body(platform.post("/v1/webhooks", {"url": "https://hooks.example/x", "topics": ["feed.changed"]}))
    statuses = [platform.post(f"/v1/webhooks/{hook['id']}/test").status_code for _ in range(80)]
    assert statuses == [202] * 59 + [429] * 21
