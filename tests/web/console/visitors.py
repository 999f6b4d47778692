"""A user of the console: a browser without scripts, over WSGI, that fills in the forms of the pages."""

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
    """A separate browser, signed in or not."""

    def __init__(self, service: Service, name: str = "") -> None:
        self.client: FlaskClient = service.app.test_client()
        self.name = name
        self.secret = ""

    def get(self, path: str, **more: Any) -> TestResponse:
        """Return the page at a path."""
        return self.client.get(path, buffered=True, **more)

    def post(self, path: str, fields: dict[str, Any] | None = None, **more: Any) -> TestResponse:
        """Submit a form of this browser, with its CSRF secret, and return the response."""
        self.secret = self.secret or form_secret(self.get("/console/account" if self.name else "/console/sign-in"))
        return self.client.post(path, data={"csrf": self.secret, **(fields or {})}, buffered=True, **more)

    def sign_in(self, password: str = PASSWORD, **fields: str) -> TestResponse:
        """Submit the form for signing in and return the response."""
        self.secret = form_secret(self.get("/console/sign-in"))
        response = self.post("/console/sign-in", {"name": self.name, "password": password, **fields})
        self.secret = ""
        return response

    def follow(self, response: TestResponse) -> TestResponse:
        """Return the page to which the response of a form redirects."""
        assert response.status_code == 303, response.text
        return self.get(response.headers["Location"])


def add_user(service: Service, name: str, role: Role, password: str | None = PASSWORD, *, local: bool = True) -> User:
    """Add a user with this password and role."""
    return users.add(service.db, COMMAND_LINE, UserDraft(name, role), password, local=local).user


def sign_in_new_user(service: Service, name: str, role: Role) -> Visitor:
    """Add a user and return a browser in which the user is signed in."""
    add_user(service, name, role)
    visitor = Visitor(service, name)
    assert visitor.sign_in().status_code == 303
    return visitor


def form_secret(page: TestResponse) -> str:
    """Return the CSRF secret in the forms of a page."""
    match = re.search(r'name="csrf" value="([^"]+)"', page.text)
    assert match, page.text
    return html.unescape(match[1])


def heading(page: TestResponse) -> str:
    """Return the heading of a page."""
    match = re.search(r"<h1>(.*?)</h1>", page.text)
    assert match, page.text
    return html.unescape(match[1])


def page_text(page: TestResponse) -> str:
    """Return the text of a page, with single spaces between its words."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page.text)).split())


def faults(page: TestResponse) -> dict[str, str]:
    """Return the invalid fields that a form reports, each with its reason."""
    assert page.status_code == 422, page.status
    reported = re.findall(r'<a href="#f-[^"]*">([^<]*)</a> ([^<]*)</li>', page.text)
    return {html.unescape(field): html.unescape(reason) for field, reason in reported}
