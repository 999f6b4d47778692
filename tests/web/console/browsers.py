"""A real browser: Chromium by Playwright, which loads from one host only, and in which nothing may go wrong unseen.

To have one: `pip install playwright` (the `dev` extra has it), and Chromium: `apt install chromium-headless-shell` on
Debian (or `chromium`, which takes twice the time for a page), or `playwright install --with-deps chromium`;
HASHDB_TEST_CHROMIUM names another.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
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

NO_BROWSER = (
    "no browser: pip install playwright, and apt install chromium-headless-shell "
    "or playwright install --with-deps chromium"
)
_PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser")
"""The first draws no windows around the pages: half of what the others take."""
_CHROMIUM = os.environ.get("HASHDB_TEST_CHROMIUM")
"""Read at the import: no test sees the variables of hashdb."""
_WIDE, _NARROW = 1280, 390
_SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
AXE = Path(__file__).with_name("vendor") / "axe.min.js"
WAIT = 20_000
"""Milliseconds for anything to come."""
Theme = Literal["light", "dark"]
_THEMED, _SIZED = ("color-contrast", "link-in-text-block"), ("scrollable-region-focusable",)
"""The rules of axe-core whose answer a theme or a width changes."""
_REACHED = """() => {
    const tabbable = "a[href], button, input, select, textarea, summary, [tabindex='0'], [contenteditable]"
    const seen = (one) => one.checkVisibility({visibilityProperty: true}) && !one.disabled
    const look = (one) => [one, ...document.querySelectorAll("label")].filter((it) => it === one || it.control === one)
        .map((it) => { const {outline, boxShadow, borderColor, backgroundColor, top, textDecoration} =
            getComputedStyle(it)
            return [outline, boxShadow, borderColor, backgroundColor, top, textDecoration] }).join()
    const wrong = []
    for (const one of document.querySelectorAll("*")) {
        if (!seen(one)) continue
        const told = one.outerHTML.slice(0, 160)
        if (one.matches(tabbable)) {
            if (one.matches("[tabindex='-1'][href*='/vocabulary#']")) continue
            if (one.tabIndex !== 0 && one.type !== "radio") wrong.push(`not in the order of Tab: ${told}`)
            document.activeElement?.blur()
            const before = look(one)
            one.focus({focusVisible: true, preventScroll: true})
            if (document.activeElement !== one) wrong.push(`takes no focus: ${told}`)
            else if (look(one) === before) wrong.push(`its focus is not seen: ${told}`)
        } else if (getComputedStyle(one).cursor === "pointer" && !one.closest(`${tabbable}, label`)) {
            wrong.push(`only for a mouse: ${told}`)
        }
    }
    document.activeElement?.blur()
    return wrong
}"""
"""What on a page a keyboard does not come to, or comes to without a sign of it.

The links from codes to their meanings are no stops: `W` goes through them.
"""
_signed_in: dict[tuple[str, str], list[Any]] = {}
"""The cookies of who signed in to what is listening: its address and their name."""


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
    address = f"http://127.0.0.1:{server.server_port}"
    try:
        yield address
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        for known in [one for one in _signed_in if one[0] == address]:
            del _signed_in[known]


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser for as long as the block lasts; the test is skipped where there is none."""
    if not importlib.util.find_spec("playwright"):
        pytest.skip(NO_BROWSER)
    from playwright.sync_api import Error, sync_playwright

    found = _CHROMIUM or next(filter(None, map(shutil.which, _PROGRAMS)), None)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=found, args=_SWITCHES)
        except Error as error:
            pytest.skip(f"{NO_BROWSER} ({str(error).splitlines()[0]})")
        yield browser
        browser.close()


class Watched:
    """A page of a browser, and all that went wrong on it."""

    def __init__(
        self, browser: Browser, address: str, *, width: int = 1280, theme: Any = "light", zone: str | None = None
    ) -> None:
        self.context = browser.new_context(
            base_url=address,
            viewport={"width": width, "height": 900},
            color_scheme=theme,
            service_workers="block",
            timezone_id=zone,
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

    def sign_in(self, name: str, then: str = "/console/overview") -> None:
        """Sign in as a user, or be signed in as before, and go to a page."""
        known = _signed_in.get((self._address, name))
        if known:
            self.context.add_cookies(known)
            self.page.goto(then)
            return
        self.page.goto(f"/console/sign-in?next={then}")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(lambda url: "sign-in" not in url)
        _signed_in[self._address, name] = [
            {"name": one["name"], "value": one["value"], "url": self._address} for one in self.context.cookies()
        ]

    def came_to(self, heading: str) -> None:
        """Wait for the page of that heading, and until its scripts hear what is typed."""
        self.page.get_by_role("heading", name=heading, exact=True).wait_for()
        self.page.wait_for_load_state("load")

    def violations(self, *rules: str, menu: bool = True) -> list[str]:
        """What axe-core finds on the page as it is, of any impact: by all rules or some, in the menu or beside it."""
        # By the debugger, so past the page's policy, which lets no other script in.
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text("utf-8"))
        # Of the rules that are on, only one of moderate impact reads what axe would load again for each run.
        asked = {"resultTypes": ["violations"], "preload": False, **({"runOnly": rules} if rules else {})}
        where = {"include": [["html"]]} if menu else {"exclude": [[".side"]]}
        found = self.page.evaluate("([where, asked]) => axe.run(where, asked)", [where, asked])["violations"]
        return [
            f"{one['id']} ({one['impact']}): {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}"
            for one in found
        ]

    def seen(self, *, menu: bool = True) -> list[str]:
        """What is wrong with the page: wide and narrow, light and dark, by keyboard, and for who sees little.

        It is looked at in one view after the other, as a machine changes its theme at night and a window is made
        smaller: first by every rule, then by those that may answer otherwise there, in the menu only if asked.
        """
        self.show("light", _WIDE)
        wrong = [f"by keyboard: {one}" for one in self.page.evaluate(_REACHED)]
        wrong += self.violations()
        if hidden := self.hidden_buttons():
            wrong.append(f"one scrolls before these are seen: {hidden}")
        for width, rules in ((_WIDE, _THEMED), (_NARROW, (*_THEMED, *_SIZED))):
            self.show("dark", width)
            wrong += [f"dark, {width}: {one}" for one in self.violations(*rules, menu=menu)]
            if self.overflow() > 0:
                wrong.append(f"{width}: {self.overflow()} pixels too wide")
        self.show("light", _WIDE)
        return wrong

    def at(self, path: str, *, menu: bool = True) -> list[str]:
        """What is wrong with the page at this path, when all of it has come: see seen."""
        self.page.goto(path)
        if self.page.locator('[hx-trigger="load"]').count():
            self.page.wait_for_load_state("networkidle")
        return self.seen(menu=menu)

    def show(self, theme: Theme, width: int) -> None:
        """Change the theme and the width of the window."""
        self.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        self.page.set_viewport_size({"width": width, "height": 900})

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


def faults(browser: Browser, address: str, pages: Sequence[str]) -> dict[str, list[str]]:
    """What is wrong with pages as users of each role see them, by role and page: see Watched.seen.

    An admin sees all of them. Another role sees again those that have an element for it that the others had not.
    """
    found: dict[str, list[str]] = {}
    known: dict[str, set[str]] = {path: set() for path in pages}
    for role in Role:
        watched = Watched(browser, address)
        watched.page.goto("/console/sign-in")
        if role is Role.ADMIN:
            found["/console/sign-in"] = watched.seen()
        watched.sign_in(str(role))
        for path in pages:
            text = watched.context.request.get(path).text()
            tags = set(re.findall(r"<[a-z][^>]*>", re.sub(r"[0-9]+|value=\"[^\"]*\"", "", text)))
            if not tags <= known[path]:
                found[f"{role}: {path}"] = watched.at(path, menu=path == pages[0])
            known[path] |= tags
            levels = [int(level) for level in re.findall(r"<h([1-6])", text)]
            if levels.count(1) != 1 or any(after - before > 1 for before, after in pairwise(levels)):
                found.setdefault(f"{role}: {path}", []).append(f"its headings are of levels {levels}")
        watched.close()
    return {page: wrong for page, wrong in found.items() if wrong}
