"""A real browser: Chromium, controlled by Playwright. It loads from one host only, and records every error.

To install it: `pip install playwright` (the `dev` extra has it), and Chromium: `apt install chromium-headless-shell` on
Debian (or `chromium`, which takes twice the time for a page), or `playwright install --with-deps chromium`.
HASHDB_TEST_CHROMIUM is the path of another Chromium.
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
"""The first draws no windows, and takes half the time of the others."""
_CHROMIUM = os.environ.get("HASHDB_TEST_CHROMIUM")
"""Read at the import, because the tests run without the variables of hashdb."""
_WIDE, _NARROW = 1280, 390
_SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]
AXE = Path(__file__).with_name("vendor") / "axe.min.js"
WAIT = 20_000
"""The timeout of every wait, in milliseconds."""
Theme = Literal["light", "dark"]
_THEMED, _SIZED = ("color-contrast", "link-in-text-block"), ("scrollable-region-focusable",)
"""The rules of axe-core whose result depends on the theme, and those whose result depends on the width."""
_KEYBOARD_FAULTS = """() => {
    const tabbable = "a[href], button, input, select, textarea, summary, [tabindex='0'], [contenteditable]"
    const usable = (element) => element.checkVisibility({visibilityProperty: true}) && !element.disabled
    const look = (element) => [element, ...document.querySelectorAll("label")]
        .filter((it) => it === element || it.control === element)
        .map((it) => { const {outline, boxShadow, borderColor, backgroundColor, top, textDecoration} =
            getComputedStyle(it)
            return [outline, boxShadow, borderColor, backgroundColor, top, textDecoration] }).join()
    const faults = []
    for (const element of document.querySelectorAll("*")) {
        if (!usable(element)) continue
        const html = element.outerHTML.slice(0, 160)
        if (element.matches(tabbable)) {
            if (element.matches("[tabindex='-1'][href*='/vocabulary#']")) continue
            if (element.tabIndex !== 0 && element.type !== "radio") faults.push(`not in the order of Tab: ${html}`)
            document.activeElement?.blur()
            const before = look(element)
            element.focus({focusVisible: true, preventScroll: true})
            if (document.activeElement !== element) faults.push(`cannot take the focus: ${html}`)
            else if (look(element) === before) faults.push(`its focus is not visible: ${html}`)
        } else if (getComputedStyle(element).cursor === "pointer" && !element.closest(`${tabbable}, label`)) {
            faults.push(`usable only with a mouse: ${html}`)
        }
    }
    document.activeElement?.blur()
    return faults
}"""
"""Returns the elements that the keyboard cannot reach, or whose focus is not visible.

The Tab key skips the links from codes to their meanings, because the key `W` goes through them.
"""
_signed_in: dict[tuple[str, str], list[Any]] = {}
"""The cookies of each user who signed in, by the address of the service and the user's name."""


class _Threaded(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def listening(service: Service) -> Iterator[str]:
    """Serve an application by threads of this process for the length of the block, and return its address."""
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
        for session in [session for session in _signed_in if session[0] == address]:
            del _signed_in[session]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start a browser for the length of the block. The test is skipped if no browser is installed."""
    if not importlib.util.find_spec("playwright"):
        pytest.skip(NO_BROWSER)
    from playwright.sync_api import Error, sync_playwright

    program = _CHROMIUM or next(filter(None, map(shutil.which, _PROGRAMS)), None)
    with sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=program, args=_SWITCHES)
        except Error as error:
            pytest.skip(f"{NO_BROWSER} ({str(error).splitlines()[0]})")
        yield browser
        browser.close()


class Watched:
    """A page of a browser that records its errors."""

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
        self.errors: list[str] = []
        self._address = address
        self._refused: set[str] = set()
        self.page.on("console", lambda message: self._record_message(message.type, message.text))
        self.page.on("pageerror", lambda error: self.errors.append(f"script: {error}"))
        self.page.on("request", self._record_request)
        self.page.on("response", self._record_response)

    def close(self) -> None:
        """Close the page, and fail if it had errors."""
        self.context.close()
        assert not self.errors, "\n".join(self.errors)

    def sign_in(self, name: str, then: str = "/console/overview") -> None:
        """Sign in as a user, or reuse the session of an earlier sign-in, and open a page."""
        cookies = _signed_in.get((self._address, name))
        if cookies:
            self.context.add_cookies(cookies)
            self.page.goto(then)
            return
        self.page.goto(f"/console/sign-in?next={then}")
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url(lambda url: "sign-in" not in url)
        _signed_in[self._address, name] = [
            {"name": cookie["name"], "value": cookie["value"], "url": self._address}
            for cookie in self.context.cookies()
        ]

    def wait_for_heading(self, heading: str) -> None:
        """Wait for the page with that heading, and until its scripts have loaded."""
        self.page.get_by_role("heading", name=heading, exact=True).wait_for()
        self.page.wait_for_load_state("load")

    def violations(self, *rules: str, menu: bool = True) -> list[str]:
        """Return what axe-core reports on the page, of any impact: by all rules or some, with the menu or without."""
        # The debugger evaluates it, so the page's Content Security Policy does not block it.
        if not self.page.evaluate("'axe' in window"):
            self.page.evaluate(AXE.read_text("utf-8"))
        # Preloading would load the style sheets again in each run. Only one enabled rule, of moderate impact, needs it.
        options = {"resultTypes": ["violations"], "preload": False, **({"runOnly": rules} if rules else {})}
        context = {"include": [["html"]]} if menu else {"exclude": [[".side"]]}
        result = self.page.evaluate("([context, options]) => axe.run(context, options)", [context, options])
        return [
            f"{rule['id']} ({rule['impact']}): {rule['help']}: {[node['html'][:200] for node in rule['nodes'][:3]]}"
            for rule in result["violations"]
        ]

    def faults_in_all_views(self, *, menu: bool = True) -> list[str]:
        """Return the faults of the page in a wide and a narrow window, in both themes, by keyboard and by axe-core.

        The views follow each other in one page, as when a machine changes its theme at night or a user resizes the
        window. The first view is tested by every rule, the others only by the rules whose result may differ there.
        With `menu=False`, the others are tested without the menu.
        """
        self.show("light", _WIDE)
        faults = [f"by keyboard: {fault}" for fault in self.page.evaluate(_KEYBOARD_FAULTS)]
        faults += self.violations()
        if hidden := self.hidden_buttons():
            faults.append(f"buttons visible only after scrolling: {hidden}")
        for width, rules in ((_WIDE, _THEMED), (_NARROW, (*_THEMED, *_SIZED))):
            self.show("dark", width)
            faults += [f"dark, {width}: {fault}" for fault in self.violations(*rules, menu=menu)]
            if self.overflow() > 0:
                faults.append(f"{width}: {self.overflow()} pixels too wide")
        self.show("light", _WIDE)
        return faults

    def faults_at(self, path: str, *, menu: bool = True) -> list[str]:
        """Open a page, wait until all of it has loaded, and return its faults in all views."""
        self.page.goto(path)
        if self.page.locator('[hx-trigger="load"]').count():
            self.page.wait_for_load_state("networkidle")
        return self.faults_in_all_views(menu=menu)

    def show(self, theme: Theme, width: int) -> None:
        """Change the theme and the width of the window."""
        self.page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        self.page.set_viewport_size({"width": width, "height": 900})

    def hidden_buttons(self) -> list[str]:
        """Return the buttons in tables that are beyond the right edge of the window or of their table."""
        labels: list[str] = self.page.evaluate(
            """[...document.querySelectorAll(".table-responsive .btn")].filter((button) =>
            button.getBoundingClientRect().right > button.closest(".table-responsive").getBoundingClientRect().right)
            .map((button) => button.innerText)"""
        )
        return labels

    def overflow(self) -> int:
        """Return by how many pixels the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))

    def _record_message(self, kind: str, text: str) -> None:
        # The browser also logs responses with status 403, 404 and 422, which tests expect.
        if kind in ("error", "warning") and not text.startswith("Failed to load resource"):
            self.errors.append(f"{kind}: {text}")

    def _record_request(self, request: Request) -> None:
        if not request.url.startswith((f"{self._address}/", "data:", "blob:")):
            self.errors.append(f"request to another host: {request.url}")

    def _record_response(self, response: Response) -> None:
        if response.status >= 500 or (response.status == 404 and "/static/" in response.url):
            self.errors.append(f"{response.status}: {response.url}")


def page_faults(browser: Browser, address: str, pages: Sequence[str]) -> dict[str, list[str]]:
    """Return the faults of pages for users of each role, by role and page: see Watched.faults_in_all_views.

    All pages are tested for an admin. For another role, only the pages with a tag that the roles before did not get.
    """
    faults: dict[str, list[str]] = {}
    known_tags: dict[str, set[str]] = {path: set() for path in pages}
    for role in Role:
        watched = Watched(browser, address)
        watched.page.goto("/console/sign-in")
        if role is Role.ADMIN:
            faults["/console/sign-in"] = watched.faults_in_all_views()
        watched.sign_in(str(role))
        for path in pages:
            text = watched.context.request.get(path).text()
            tags = set(re.findall(r"<[a-z][^>]*>", re.sub(r"[0-9]+|value=\"[^\"]*\"", "", text)))
            if not tags <= known_tags[path]:
                faults[f"{role}: {path}"] = watched.faults_at(path, menu=path == pages[0])
            known_tags[path] |= tags
            levels = [int(level) for level in re.findall(r"<h([1-6])", text)]
            if levels.count(1) != 1 or any(after - before > 1 for before, after in pairwise(levels)):
                faults.setdefault(f"{role}: {path}", []).append(f"its headings are of levels {levels}")
        watched.close()
    return {page: reports for page, reports in faults.items() if reports}
