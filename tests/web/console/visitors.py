"""Who uses the console: a browser without scripts, over WSGI, that fills in the forms it is shown."""

from __future__ import annotations

import html
import re
from typing import Any

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.accounts.users import Role, User, UserDraft
from hashdb.service.accounts import users
from tests.web.callers import Service

PASSWORD = "correct horse battery staple"


class Visitor:
    """A browser of its own, signed in or not."""

    def __init__(self, service: Service, name: str = "") -> None:
        self.client: FlaskClient = service.app.test_client()
        self.name = name
        self.secret = ""

    def get(self, path: str, **more: Any) -> TestResponse:
        """A page."""
        return self.client.get(path, buffered=True, **more)

    def post(self, path: str, fields: dict[str, Any] | None = None, **more: Any) -> TestResponse:
        """What a form answers that a page of this browser made."""
        self.secret = self.secret or form_secret(self.get("/console/account" if self.name else "/console/sign-in"))
        return self.client.post(path, data={"csrf": self.secret, **(fields or {})}, buffered=True, **more)

    def sign_in(self, password: str = PASSWORD, **fields: str) -> TestResponse:
        """What the form to sign in answers."""
        self.secret = form_secret(self.get("/console/sign-in"))
        answer = self.post("/console/sign-in", {"name": self.name, "password": password, **fields})
        self.secret = ""
        return answer

    def follow(self, answer: TestResponse) -> TestResponse:
        """The page to which a form led."""
        assert answer.status_code == 303, answer.text
        return self.get(answer.headers["Location"])


def added(service: Service, name: str, role: Role, password: str | None = PASSWORD, *, local: bool = True) -> User:
    """A user, who chose this password."""
    return users.add(service.db, COMMAND_LINE, UserDraft(name, role), password, local=local).user


def signed_in(service: Service, name: str, role: Role) -> Visitor:
    """The browser of a new user."""
    added(service, name, role)
    visitor = Visitor(service, name)
    assert visitor.sign_in().status_code == 303
    return visitor


def form_secret(page: TestResponse) -> str:
    """What the forms of a page carry."""
    found = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert found, page.text
    return html.unescape(found[1])


def heading(page: TestResponse) -> str:
    """What a page is called."""
    found = re.search(r"<h1>(.*?)</h1>", page.text)
    assert found, page.text
    return html.unescape(found[1])


def text_of(page: TestResponse) -> str:
    """The text of a page, of which each run of blanks is one."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.text)).split())


def faults(page: TestResponse) -> dict[str, str]:
    """Which fields a form tells to be wrong, and why."""
    assert page.status_code == 422, page.status
    found = re.findall(r'<a href="#f-[^"]*">([^<]*)</a> ([^<]*)</li>', page.text)
    return {html.unescape(at): html.unescape(reason) for at, reason in found}
