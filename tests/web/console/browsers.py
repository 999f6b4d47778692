"""A real browser: Chromium by Playwright, which loads from one host only, and in which nothing may go wrong unseen.

To have one: `pip install playwright` (the `dev` extra has it), and Chromium: `apt install chromium` on Debian, or
`playwright install --with-deps chromium`; HASHDB_TEST_CHROMIUM names another.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from socketserver import ThreadingMixIn
from threading import Thread
from typing import TYPE_CHECKING, Any, Literal
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

import pytest

from hashdb.domain.accounts.users import Role
from tests.web.callers import Service
from tests.web.console.visitors import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page, Request, Response

NO_BROWSER = "no browser: pip install playwright, and apt install chromium or playwright install --with-deps chromium"
_CHROMIUM = os.environ.get("HASHDB_TEST_CHROMIUM")
"""Read at the import: no test sees the variables of hashdb."""
_WIDE = 1280
_SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
AXE = Path(__file__).with_name("vendor") / "axe.min.js"
WAIT = 20_000
"""Milliseconds for anything to come."""
View = tuple[Literal["light", "dark"], int]
"""A theme, and how many pixels the window is wide."""


class _Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def listening(service: Service) -> Iterator[str]:
    """The address at which an application is served, by threads of this process."""
    server = make_server("127.0.0.1", 0, service.app.wsgi_app, server_class=_Threaded, handler_class=_Quiet)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser for as long as the block lasts; the test is skipped where there is none."""
    if not importlib.util.find_spec("playwright"):
        pytest.skip(NO_BROWSER)
    from playwright.sync_api import Error, sync_playwright

    found = _CHROMIUM or shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=found, args=_SWITCHES)
        except Error as error:
            pytest.skip(f"{NO_BROWSER} ({str(error).splitlines()[0]})")
        yield browser
        browser.close()


EVERY_WAY: list[tuple[Role, list[View]]] = [
    (Role.ADMIN, [("light", 1280), ("dark", 390)]),
    (Role.AUDITOR, [("dark", 1280), ("light", 390)]),
]
"""Each role, theme and width with each of the others in turn."""


class Watched:
    """A page of a browser, and all that went wrong on it."""

    def __init__(self, browser: Browser, address: str, *, width: int = 1280, theme: Any = "light") -> None:
        self.context = browser.new_context(
            base_url=address, viewport={"width": width, "height": 900}, color_scheme=theme, service_workers="block"
        )
        self.context.set_default_timeout(WAIT)
        self.page: Page = self.context.new_page()
        self.wrong: list[str] = []
        self._address = address
        self._refused: set[str] = set()
        self.page.on("console", lambda said: self._said(said.type, said.text))
        self.page.on("pageerror", lambda error: self.wrong.append(f"script: {error}"))
        self.page.on("request", self._asked)
        self.page.on("response", self._answered)

    def close(self) -> None:
        """Close it, having seen that nothing went wrong."""
        self.context.close()
        assert not self.wrong, "\n".join(self.wrong)

    def sign_in(self, name: str) -> None:
        """Sign in as a user."""
        self.page.goto("/console/sign-in")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(lambda url: "sign-in" not in url)

    def came_to(self, heading: str) -> None:
        """Wait for the page of that heading, and until its scripts hear what is typed."""
        self.page.get_by_role("heading", name=heading, exact=True).wait_for()
        self.page.wait_for_load_state("load")

    def violations(self) -> list[str]:
        """What axe-core finds on the page as it is that keeps somebody out, serious or critical."""
        # By the debugger, so past the page's policy, which lets no other script in.
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text("utf-8"))
        # Of the rules that are on, only one of moderate impact reads what axe would load again for each run.
        found = self.page.evaluate("axe.run({resultTypes: ['violations'], preload: false})")["violations"]
        return [
            f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}"
            for one in found
            if one["impact"] in ("serious", "critical")
        ]

    def seen(self, views: Sequence[View]) -> list[str]:
        """What is wrong with the page in each of these views."""
        wrong = []
        for theme, width in views:
            self.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            self.page.set_viewport_size({"width": width, "height": 900})
            wrong += [f"{theme}, {width}: {one}" for one in self.violations()]
            if self.overflow() > 0:
                wrong.append(f"{theme}, {width}: {self.overflow()} pixels too wide")
            if width >= _WIDE and (hidden := self.hidden_buttons()):
                wrong.append(f"{theme}, {width}: one scrolls before these are seen: {hidden}")
        return wrong

    def hidden_buttons(self) -> list[str]:
        """The buttons that are right of the edge of the window, or of the table that they stand in."""
        found: list[str] = self.page.evaluate(
            """[...document.querySelectorAll(".table-responsive .btn")].filter((one) =>
            one.getBoundingClientRect().right > one.closest(".table-responsive").getBoundingClientRect().right)
            .map((one) => one.innerText)"""
        )
        return found

    def overflow(self) -> int:
        """How many pixels the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))

    def _said(self, kind: str, text: str) -> None:
        # That an answer was 403, 404 or 422 is told by the page itself.
        if kind in ("error", "warning") and not text.startswith("Failed to load resource"):
            self.wrong.append(f"{kind}: {text}")

    def _asked(self, request: Request) -> None:
        if not request.url.startswith((f"{self._address}/", "data:", "blob:")):
            self.wrong.append(f"asked another host: {request.url}")

    def _answered(self, response: Response) -> None:
        if response.status >= 500 or (response.status == 404 and "/static/" in response.url):
            self.wrong.append(f"{response.status}: {response.url}")


def faults(
    browser: Browser, address: str, pages: Sequence[str], role: Role, views: Sequence[View]
) -> dict[str, list[str]]:
    """What is wrong with pages as somebody sees them, by the page: what keeps somebody out, width, headings.

    Each is looked at in one view after the other, as a window is turned or made smaller and a machine changes its theme
    at night.
    """
    watched, found = Watched(browser, address), {}
    watched.page.goto("/console/sign-in")
    found["/console/sign-in"] = watched.seen(views)
    watched.sign_in(str(role))
    for path in pages:
        watched.page.goto(path)
        if watched.page.locator('[hx-trigger="load"]').count():
            watched.page.wait_for_load_state("networkidle")
        found[path] = watched.seen(views)
        if watched.page.locator("h1").count() != 1:
            found[path].append("has not one heading")
    watched.close()
    return {path: wrong for path, wrong in found.items() if wrong}
