"""An attacker guesses passwords in a session and from one /64, takes over a provider's account, imitates names."""

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
_BACK = f"{_CONSOLE}/console/sign-in/provider/back"
_PASSWORD = "correct horse battery staple"
_GUESSES = 40
_FORMS = ("/console/account/password", "/console/account/second-factor", "/console/account/second-factor/removal")
_ALIKE = ("alpha video", "ALPHA VIDEO", "Alphа Video", "Αlpha Video", "AIpha Video", "Ａｌｐｈａ Video", "Alpha-Video")  # noqa: RUF001


def run() -> Iterator[Finding]:
    """Start a service with a provider of OpenID Connect, and try each way in."""
    with TemporaryDirectory(prefix="hashdb-attack-") as name, provider(Path(name)) as running:
        running.set_claims(_BACK, sub="subject-1", preferred_username="ada")
        settings = {
            "HASHDB_PROXIES": "1",
            "HASHDB_CONSOLE_URL": _CONSOLE,
            "HASHDB_OIDC_ISSUER": running.issuer,
            "HASHDB_OIDC_CLIENT_ID": CLIENT,
            "HASHDB_OIDC_CLIENT_SECRET": SECRET,
        }
        with service(workers=1, **settings) as target:
            users.add(target.db, COMMAND_LINE, UserDraft("ada", Role.ADMIN), _PASSWORD)
            yield _by_provider(target)
            for form in _FORMS:
                yield _in_a_session(target, form)
            yield _from_a_network(target)
            yield _without_a_key(target)
            yield _names(target)


def _by_provider(target: Target) -> Finding:
    with _browser(target) as browser:
        away = browser.get("/console/sign-in/provider")
        back = httpx.get(away.headers["Location"]).headers["Location"]
        status = browser.get(back.removeprefix(_CONSOLE)).status_code
        opened = browser.get("/console/members").status_code
    tried = "enter an account with a password as the provider's user of the same name"
    return Finding(tried, "not signed in", f"answers {status}, then {opened}", (status, opened) == (422, 303))


def _in_a_session(target: Target, form: str) -> Finding:
    """Each form with a user of its own: failures count for the user."""
    name = f"user {_FORMS.index(form) + 1}"
    users.add(target.db, COMMAND_LINE, UserDraft(name, Role.AUDITOR), _PASSWORD)
    with _browser(target) as browser:
        _post(browser, "/console/sign-in", "/console/sign-in", name=name, password=_PASSWORD)
        csrf = _csrf(browser, "/console/account")
        more = {"csrf": csrf, "password": "x" * 12, "again": "x" * 12, "secret": "A" * 32, "code": "0"}
        came = Counter(
            browser.post(form, data=more | {"present": f"guess {number}"}).status_code for number in range(_GUESSES)
        )
        after = browser.get("/console/account").status_code
    compared = came[422]
    return Finding(
        f"guess the present password {_GUESSES} times at {form}",
        "5 are compared, and the session ends",
        f"{compared} compared, then the session answers {after}",
        compared <= 5 and after == 303,
    )


def _from_a_network(target: Target) -> Finding:
    came: Counter[int] = Counter()
    with _browser(target) as browser:
        csrf = _csrf(browser, "/console/sign-in")
        for number in range(_GUESSES):
            sent = {"csrf": csrf, "name": f"nobody {number}", "password": "x"}
            address = {"X-Forwarded-For": f"2001:db8:0:1::{number:x}"}
            came[browser.post("/console/sign-in", data=sent, headers=address).status_code] += 1
    tried = f"{_GUESSES} sign-ins with as many names from as many addresses of one /64"
    return Finding(tried, "20 are tried", f"{came[422]} tried, {came[429]} told to wait", came[422] <= 20)


def _without_a_key(target: Target) -> Finding:
    came: Counter[int] = Counter()
    with httpx.Client(base_url=target.url, headers={"Authorization": "Bearer hdb_wrong"}) as client:
        for number in range(150):
            address = {"X-Forwarded-For": f"2001:db8:0:2::{number:x}"}
            came[client.get("/v1/me", headers=address).status_code] += 1
    tried = "150 requests with a wrong key from as many addresses of one /64"
    return Finding(tried, "100 are answered 401", f"{came[401]} times 401, {came[429]} times 429", came[401] <= 100)


def _names(target: Target) -> Finding:
    secret = target.key(target.member("Alpha Video"), Scope.ADMIN)
    with target.client(secret) as client:
        came = [client.post("/v1/members", json={"name": name, "kind": "platform"}).status_code for name in _ALIKE]
    refused = came.count(409)
    tried = f"add {len(_ALIKE)} members whose names look like another's, or come to its bank"
    return Finding(tried, "each is refused", f"{refused} refused", refused == len(_ALIKE))


def _browser(target: Target) -> httpx.Client:
    return httpx.Client(base_url=target.url, timeout=60)


def _csrf(browser: httpx.Client, page: str) -> str:
    found = re.search(r'name="csrf" value="([^"]+)"', browser.get(page).text)
    assert found, page
    return html.unescape(found[1])


def _post(browser: httpx.Client, page: str, form: str, **fields: str) -> httpx.Response:
    return browser.post(form, data={"csrf": _csrf(browser, page), **fields})
