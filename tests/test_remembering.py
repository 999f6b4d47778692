"""Remembered uploads: the requests of a client to a sidecar, which answers from real reports."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest

from hashdb.client import Client
from hashdb.domain.matching.lookback import Upload
from hashdb.domain.matching.matches import Query
from hashdb.errors import InvalidInput
from hashdb.local.reports import Reports
from hashdb.wire import ValidationContext
from hashdb.wire.lookback import ReportsOut, read_uploads
from hashdb.wire.problems import problem
from tests.builders import NOON, RULES, clip, signal, signature
from tests.local.test_reports import cursor_at, found_match


class Sidecar:
    """Answers like the real sidecar."""

    def __init__(self, reports: Reports) -> None:
        self.reports, self.uploads = reports, list[Upload]()
        self.requests = list[httpx.Request]()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        try:
            return httpx.Response(200, content=self._answer(request))
        except InvalidInput as error:
            return httpx.Response(422, content=json.dumps(problem(error, 422)))

    def _answer(self, request: httpx.Request) -> str:
        if request.url.path == "/v1/remember":
            uploads = read_uploads(request.content, ValidationContext(RULES, NOON))
            self.uploads += uploads
            return json.dumps({"remembered": len(uploads)})
        if request.url.path == "/remembered/acknowledged":
            number = json.loads(request.content)["number"]
            self.reports.acknowledge(number)
            return json.dumps({"acknowledged": number})
        parameters = {name: int(value) for name, value in request.url.params.items()}
        return ReportsOut.from_domain(
            self.reports.after(parameters.get("after"), parameters["limit"], parameters["wait"])
        ).json_text()


@pytest.fixture
def sidecar(tmp_path: Path) -> Sidecar:
    return Sidecar(Reports(tmp_path))


@pytest.fixture
def client(sidecar: Sidecar) -> Client:
    return Client("http://sidecar.test", transport=httpx.MockTransport(sidecar))


def test_uploads_are_sent_unchanged_in_requests_of_1000(client: Client, sidecar: Sidecar) -> None:
    full = Query((signal(1),), transforms={"mirror": (signal(2),)}, signatures={"whole": (signature(1),)})
    uploads = [Upload(f"u-{number}", NOON, full) for number in range(1_001)]
    assert client.remember(uploads) == 1_001
    assert sidecar.uploads == uploads
    assert len(sidecar.requests) == 2
    assert client.remember([]) == 0


def test_long_videos_are_sent_in_several_requests(client: Client, sidecar: Sidecar) -> None:
    film = clip(*range(9_000, 9_000 + 7_200))
    uploads = [Upload(f"u-{number}", NOON, film if number % 3 else Query((signal(1),))) for number in range(7)]
    assert client.remember(uploads) == 7
    assert sidecar.uploads == uploads
    assert len(sidecar.requests) == 2


def test_an_invalid_upload_is_reported_by_its_position(client: Client) -> None:
    uploads = [Upload(f"u-{number}", NOON, Query((signal(1),))) for number in range(1_001)]
    uploads[1_000] = Upload("", NOON, Query((signal(1),)))
    with pytest.raises(InvalidInput, match=r"uploads\[1000\].id: must have"):
        client.remember(uploads)


def test_reports_are_returned_until_they_are_acknowledged(client: Client, sidecar: Sidecar) -> None:
    assert client.remembered_matches() == ()
    sidecar.reports.record(cursor_at(5), [found_match("a", 17), found_match("b", 17)], [])
    reports = client.remembered_matches()
    assert reports == sidecar.reports.after()
    client.acknowledge(reports[0].number)
    assert client.remembered_matches() == reports[1:]
    assert client.remembered_matches(0, limit=1, wait=1) == reports[:1]
    with pytest.raises(InvalidInput, match="the last one is 2"):
        client.acknowledge(3)


def test_a_sidecar_needs_no_key(client: Client, sidecar: Sidecar) -> None:
    client.remembered_matches()
    assert "Authorization" not in sidecar.requests[0].headers
