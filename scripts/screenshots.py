"""Render every page of the console in both themes to docs/images/, with a year of data from a seed.

The script fills a new database unless --home has one. Chromium must be installed (see tests/web/console/browsers.py).
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from socketserver import ThreadingMixIn
from threading import Thread
from typing import TYPE_CHECKING, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from PIL import Image

import hashdb
from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.contributions import Filter, Media
from hashdb.domain.listings import Place
from hashdb.domain.matching.matches import Query
from hashdb.domain.review.cases import CaseSort
from hashdb.domain.signals import Algorithm
from hashdb.service import HashDB, open_hashdb
from hashdb.service.contributions import contributions
from hashdb.service.ledger import active_set, checkpoints
from hashdb.service.ledger.signing import Signing
from hashdb.service.matching import neighbors
from hashdb.service.review import cases, impacts, queues
from hashdb.settings import Settings
from hashdb.web import create_app
from hashdb.wire.matching import QueriesIn
from scripts.benchmarks import console_data, year
from scripts.benchmarks.homes import kept_or_temporary
from tests import published
from tests.web.console.browsers import Watched, chromium
from tests.web.console.visitors import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import FilePayload, Page

IMAGES = Path(__file__).parents[1] / "docs" / "images"
PHOTO = Path(hashdb.__file__).with_name("photos") / "casa-mila.jpg"
CONTRIBUTIONS = 300_000
END = datetime(2026, 11, 20, 15, 40, tzinfo=UTC)
PAGES = {
    "overview": "/console/overview?days=90",
    "contributions": "/console/contributions?severity=4&status=active",
    "contribution": "/console/contributions/{contribution}",
    "open-case": "/console/contributions/{contribution}/case",
    "cases": "/console/cases?sort=severity",
    "case": "/console/cases/{case}",
    "batch": "/console/cases?sort=severity",
    "find": "/console/overview",
    "debugger": "/console/debugger",
    "video": "/console/contributions/{video}",
    "video-case": "/console/cases/{video_case}",
    "video-debugger": "/console/debugger",
    "document": "/console/contributions/{document}",
    "document-case": "/console/cases/{document_case}",
    "compare": "/console/compare",
    "members": "/console/members",
    "member": "/console/members/5",
    "suspension": "/console/members/5/status",
    "incidents": "/console/incidents",
    "benign": "/console/benign",
    "benign-new": "/console/benign/new",
    "proposals": "/console/proposals",
    "proposal": "/console/proposals/1",
    "webhooks": "/console/webhooks",
    "webhook": "/console/webhooks/1",
    "reports": "/console/reports",
    "report": "/console/reports/1",
    "events": "/console/events",
    "event": "/console/events/1700",
    "vocabulary": "/console/vocabulary",
    "settings": "/console/settings",
    "users": "/console/users",
    "keyboard": "/console/cases",
}
NARROW = (
    "overview",
    "contributions",
    "cases",
    "case",
    "batch",
    "find",
    "compare",
    "members",
    "events",
    "report",
    "video",
    "document",
)
"""The pages that are also rendered for a small screen."""
_SMALL = 390
_COLOURS = 160
_HEIGHT = 1_000
_HEIGHTS = {"compare": 1_600, "video": 1_800, "video-case": 1_900, "video-debugger": 1_900}
_HEIGHTS |= {"document": 1_800, "document-case": 1_900}
"""The heights of pages whose plots are further down."""


def main() -> None:
    """Fill a database, serve the console, and render the pages."""
    parser = argparse.ArgumentParser(prog="scripts/screenshots", description=__doc__)
    parser.add_argument("--home", type=Path, help="folder of the database; it is kept, and a filled one is used again")
    parser.add_argument("--contributions", type=int, default=CONTRIBUTIONS)
    parser.add_argument("--width", type=int, default=1_280, help="width of the window in pixels")
    parser.add_argument("--out", type=Path, default=IMAGES)
    parser.add_argument("--only", help="names of pages, separated by commas")
    arguments = parser.parse_args()
    out: Path = arguments.out.absolute()
    out.mkdir(parents=True, exist_ok=True)
    only = arguments.only.split(",") if arguments.only else list(PAGES)
    with _home(arguments.home) as home, _service(home, arguments.contributions) as (db, address), chromium() as browser:
        examples = _examples(db)
        for theme in ("light", "dark"):
            watched = Watched(browser, address, width=arguments.width, theme=theme)
            watched.sign_in(console_data.ADMIN)
            for name in only:
                _open(watched.page, name, examples)
                _save(watched.page, name, arguments.width, out / f"{name}-{theme}.png")
            watched.close()
        watched = Watched(browser, address, width=_SMALL)
        watched.sign_in(console_data.ADMIN)
        for name in (name for name in NARROW if name in only):
            _open(watched.page, name, examples)
            _save(watched.page, name, _SMALL, out / f"{name}-small.png")
        watched.close()


@contextmanager
def _home(kept_folder: Path | None) -> Iterator[Path]:
    # The page of settings shows the path of the home: use the default path.
    with kept_or_temporary(kept_folder) as folder, chdir(folder):
        home = Path("hashdb-data")
        home.mkdir(exist_ok=True)
        yield home


@contextmanager
def _service(home: Path, count: int) -> Iterator[tuple[HashDB, str]]:
    settings = Settings(home=home)
    if not (home / "hashdb.sqlite").exists():
        started = time.monotonic()
        year.fill(settings.database, settings.rules(), year.Year(count), END)
        print(f"filled in {time.monotonic() - started:.0f} s", flush=True)
    signing = Signing(home / "signing.key", home / "checkpoints.txt", "hashes.example/log")
    db = open_hashdb(settings.database, settings.rules(), clock=lambda: END, signing=signing)
    checkpoints.start(db)
    db.index.catch_up()
    console_data.add_console_data(db, PASSWORD)
    with db.store.read() as tx:
        has_root = active_set.newest(tx) is not None
    # The first tree over this many contributions needs several calls.
    while not has_root:
        has_root = active_set.keep(db, at_once=True)
    published.sign(db)
    app = create_app(db, settings)
    console_data.count_matches(app.extensions["hashdb"].metrics)
    server = make_server("127.0.0.1", 0, app.wsgi_app, server_class=_ThreadingServer, handler_class=_SilentHandler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield db, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        db.close()


class _ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _SilentHandler(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


class Examples(NamedTuple):
    """The contributions and cases on the pages.

    `contribution` has near-duplicates and a decision. `video_case` is about a video with a part of `video`, and `query`
    has the hashes of that video. `document_case` is about a text with parts of `document`.
    """

    contribution: int
    signals: str
    case: int
    video: int
    video_case: int
    query: str
    document: int
    document_case: int


def _examples(db: HashDB) -> Examples:
    decided = {
        case.contribution for case in cases.page_of_decided(db, COMMAND_LINE, CaseSort.DECIDED, Place(), 500).rows
    }
    contribution = max(decided, key=lambda id: (len(neighbors.list_near(db, COMMAND_LINE, id, 5)), id))
    waiting = queues.queue(db, COMMAND_LINE, limit=1_000).waiting
    near = [entry.case for entry in waiting if neighbors.list_near(db, COMMAND_LINE, entry.case.contribution, 1)]
    case = max(near, key=lambda case: impacts.impact(db, COMMAND_LINE, case.contribution).members)
    signals = contributions.get(db, COMMAND_LINE, contribution).signals
    film, upload = contributions.page(db, COMMAND_LINE, Filter(media=Media.VIDEO), 0, 2)
    (disputed,) = cases.list_on_contribution(db, COMMAND_LINE, upload.id)
    frames = contributions.frames(db, COMMAND_LINE, upload.id)
    query = QueriesIn.from_domain([Query(upload.signals, frames=frames, duration=upload.duration)])
    text = query.model_dump_json(exclude_unset=True)
    (document,) = contributions.page(db, COMMAND_LINE, Filter(media=Media.DOCUMENT, algorithm=Algorithm.PDQ), 0, 1)
    (excerpt,) = contributions.page(db, COMMAND_LINE, Filter(media=Media.TEXT), 0, 1)
    (about_text,) = cases.list_on_contribution(db, COMMAND_LINE, excerpt.id)
    hashes = "\n".join(map(str, signals))
    return Examples(contribution, hashes, case.id, film.id, disputed.id, text, document.id, about_text.id)


def _open(page: Page, name: str, examples: Examples) -> None:
    page.goto(PAGES[name].format(**examples._asdict()))
    if name == "keyboard":
        page.keyboard.press("?")
    if name == "benign-new":
        page.get_by_label("Description").fill("The test card of a regional channel")
        page.get_by_label("Signals").fill(examples.signals)
        page.get_by_role("button", name="Show the effect").click()
        page.get_by_role("heading", name="Effect").wait_for()
    if name.endswith("debugger"):
        page.get_by_label("Signals").fill(examples.query if name.startswith("video") else examples.signals)
        page.get_by_role("button", name="Search", exact=True).click()
        page.get_by_role("heading", name="would match").wait_for()
    if name == "find":
        page.get_by_label("Find anything").fill("station")
        page.get_by_label("Find anything").press("Enter")
        page.get_by_role("heading", name="Find").wait_for()
    if name == "batch":
        for key in ("j", "x", "j", "j", "j", "j", "Shift+X"):
            page.keyboard.press(key)
        page.get_by_label("What to do with the selected rows").select_option("quarantine")
        page.get_by_role("button", name="Preview").click()
        page.get_by_role("heading", name="Effect").wait_for()
    if name == "compare":
        page.get_by_label("First").set_input_files(_photo(whole=True))
        page.get_by_label("Second").set_input_files(_photo(whole=False))
        page.get_by_role("button", name="Compare").click()
        page.get_by_role("heading", name="Overlay").wait_for()
    page.wait_for_load_state("networkidle")


def _photo(*, whole: bool) -> FilePayload:
    """A photograph of the package as a JPEG file, or its middle with a lower quality."""
    with Image.open(PHOTO) as photo:
        width, height = photo.size
        part = photo if whole else photo.crop((width // 40, height // 40, width * 39 // 40, height * 39 // 40))
        picture = part.resize((600, 600 * part.height // part.width))
    octets = io.BytesIO()
    picture.convert("RGB").save(octets, "JPEG", quality=90 if whole else 40)
    return {"name": "first.jpg" if whole else "second.jpg", "mimeType": "image/jpeg", "buffer": octets.getvalue()}


def _save(page: Page, name: str, width: int, path: Path) -> None:
    height = min(int(page.evaluate("document.documentElement.scrollHeight")), _HEIGHTS.get(name, _HEIGHT))
    page.set_viewport_size({"width": width, "height": height})
    # With few colours, the file has a third of the size.
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    picture.quantize(_COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)
    page.set_viewport_size({"width": width, "height": 900})
    print(path, path.stat().st_size, flush=True)


if __name__ == "__main__":
    main()
