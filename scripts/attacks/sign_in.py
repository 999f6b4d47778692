"""An attacker guesses passwords in a session and from one /64, takes over a provider's account, and imitates names."""

from __future__ import annotations

import html
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from hashdb.domain.accounts.members import COMMAND_LINE, Scope
from hashdb.domain.accounts.users import Role, UserDraft
from hashdb.service.accounts import users
from scripts.attacks import Finding
from scripts.attacks._service import Target, service
from tests.web.console.oidc import CLIENT, SECRET, provider

SECONDS = 180
_CONSOLE = "http://console.example"
_CALLBACK = f"{_CONSOLE}/console/sign-in/provider/back"
_PASSWORD = "correct horse battery staple"
_GUESSES = 40
_FORMS = ("/console/account/password", "/console/account/second-factor", "/console/account/second-factor/removal")
_ALIKE = ("alpha video", "ALPHA VIDEO", "Alphа Video", "Αlpha Video", "AIpha Video", "Ａｌｐｈａ Video", "Alpha-Video")  # noqa: RUF001


def run() -> Iterator[Finding]:
    """Start a service with an OpenID Connect provider, and try each way to sign in."""
    with TemporaryDirectory(prefix="hashdb-attack-") as name, provider(Path(name)) as running:
        running.set_claims(_CALLBACK, sub="subject-1", preferred_username="ada")
        settings = {
            "HASHDB_PROXIES": "1",
            "HASHDB_CONSOLE_URL": _CONSOLE,
            "HASHDB_OIDC_ISSUER": running.issuer,
            "HASHDB_OIDC_CLIENT_ID": CLIENT,
            "HASHDB_OIDC_CLIENT_SECRET": SECRET,
        }
        with service(workers=1, **settings) as target:
            users.add(target.db, COMMAND_LINE, UserDraft("ada", Role.ADMIN), _PASSWORD)
            yield _taken_over(target)
            for form in _FORMS:
                yield _guessed_in_session(target, form)
            yield _guessed_from_network(target)
            yield _wrong_keys(target)
            yield _similar_names(target)


def _taken_over(target: Target) -> Finding:
    with _browser(target) as browser:
        redirect = browser.get("/console/sign-in/provider")
        callback = httpx.get(redirect.headers["Location"]).headers["Location"]
        status = browser.get(callback.removeprefix(_CONSOLE)).status_code
        members_status = browser.get("/console/members").status_code
    tried = "enter an account with a password as the provider's user of the same name"
    measured = f"status {status}, then {members_status}"
    return Finding(tried, "not signed in", measured, (status, members_status) == (422, 303))


def _guessed_in_session(target: Target, form: str) -> Finding:
    """Guess the password in a form. Each form has its own user, because failures count for the user."""
    name = f"user {_FORMS.index(form) + 1}"
    users.add(target.db, COMMAND_LINE, UserDraft(name, Role.AUDITOR), _PASSWORD)
    with _browser(target) as browser:
        _post(browser, "/console/sign-in", "/console/sign-in", name=name, password=_PASSWORD)
        csrf = _csrf(browser, "/console/account")
        fields = {"csrf": csrf, "password": "x" * 12, "again": "x" * 12, "secret": "A" * 32, "code": "0"}
        statuses = Counter(
            browser.post(form, data=fields | {"present": f"guess {number}"}).status_code for number in range(_GUESSES)
        )
        after = browser.get("/console/account").status_code
    compared = statuses[422]
    return Finding(
        f"guess the present password {_GUESSES} times at {form}",
        "the service compares 5, and the session ends",
        f"{compared} compared, then the session has status {after}",
        compared <= 5 and after == 303,
    )


def _guessed_from_network(target: Target) -> Finding:
    statuses: Counter[int] = Counter()
    with _browser(target) as browser:
        csrf = _csrf(browser, "/console/sign-in")
        for number in range(_GUESSES):
            form_fields = {"csrf": csrf, "name": f"nobody {number}", "password": "x"}
            address = {"X-Forwarded-For": f"2001:db8:0:1::{number:x}"}
            statuses[browser.post("/console/sign-in", data=form_fields, headers=address).status_code] += 1
    tried = f"{_GUESSES} sign-ins with as many names from as many addresses of one /64"
    return Finding(
        tried, "20 are tried", f"{statuses[422]} tried, {statuses[429]} rejected with 429", statuses[422] <= 20
    )


def _wrong_keys(target: Target) -> Finding:
    statuses: Counter[int] = Counter()
    with httpx.Client(base_url=target.url, headers={"Authorization": "Bearer hdb_wrong"}) as client:
        for number in range(150):
            address = {"X-Forwarded-For": f"2001:db8:0:2::{number:x}"}
            statuses[client.get("/v1/me", headers=address).status_code] += 1
    tried = "150 requests with a wrong key from as many addresses of one /64"
    return Finding(
        tried,
        "at most 100 have status 401",
        f"{statuses[401]} times 401, {statuses[429]} times 429",
        statuses[401] <= 100,
    )


def _similar_names(target: Target) -> Finding:
    secret = target.key(target.member("Alpha Video"), Scope.ADMIN)
    with target.client(secret) as client:
        statuses = [client.post("/v1/members", json={"name": name, "kind": "platform"}).status_code for name in _ALIKE]
    refused = statuses.count(409)
    tried = f"add {len(_ALIKE)} members whose names look like another's, or have the same bank name"
    return Finding(tried, "each is refused", f"{refused} refused", refused == len(_ALIKE))


def _browser(target: Target) -> httpx.Client:
    return httpx.Client(base_url=target.url, timeout=60)


def _csrf(browser: httpx.Client, page: str) -> str:
    match = re.search(r'name="csrf" value="([^"]+)"', browser.get(page).text)
    assert match, page
    return html.unescape(match[1])


def _post(browser: httpx.Client, page: str, form: str, **fields: str) -> httpx.Response:
    return browser.post(form, data={"csrf": _csrf(browser, page), **fields})
