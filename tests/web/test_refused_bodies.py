"""After a rejected request with a body, the connection stays usable, or the answer says that it closes."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import closing
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from hashdb.domain.accounts.members import COMMAND_LINE, KeyDraft, MemberDraft, MemberKind, Scope
from hashdb.service import open_hashdb
from hashdb.service.accounts import members
from hashdb.settings import Settings
from tests.serving import serving
from tests.web.callers import pdq

JSON = "application/json"
FORM = "multipart/form-data; boundary=x"
TIMES = 100
SIZES = (100, 60_000, 200_000, 3_000_000)


class Served(NamedTuple):
    """A service that accepts no pictures, and its keys: one with all scopes, one that may only read the feed."""

    url: str
    full: str
    feed: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A service with two workers, whose keys may send three requests with scope `contribute` a day."""
    home = tmp_path_factory.mktemp("served") / "home"
    with serving(
        home, HASHDB_ACCEPT_MEDIA="false", HASHDB_MAX_BODY="1000000", HASHDB_RATE_LIMIT="contribute=3/day"
    ) as url:
        own = Settings(home=home)
        with closing(open_hashdb(own.database, own.rules())) as db:
            member = members.add(db, COMMAND_LINE, MemberDraft("Alpha", MemberKind.PLATFORM)).id
            full, feed = (
                members.issue_key(db, COMMAND_LINE, member, KeyDraft(frozenset(scopes))).secret
                for scopes in (Scope, {Scope.FEED})
            )
        yield Served(url, full, feed)


@pytest.mark.parametrize(
    ("key", "method", "path", "content_type", "statuses"),
    [
        ("none", "POST", "/v1/matches", JSON, {401, 413, 429}),
        ("none", "POST", "/v1/matches/media", FORM, {401, 429}),
        ("feed", "POST", "/v1/matches", JSON, {403, 413}),
        ("feed", "POST", "/v1/contributions", JSON, {403}),
        ("full", "POST", "/v1/matches/media", FORM, {403}),
        ("full", "POST", "/v1/signals", FORM, {403, 429}),
        ("full", "POST", "/hma/h/hash", FORM, {403, 429}),
        ("full", "POST", "/nowhere", JSON, {404}),
        ("full", "PUT", "/v1/matches", JSON, {405}),
        ("full", "POST", "/v1/matches", "text/plain", {413, 415}),
        ("full", "POST", "/v1/matches", JSON, {400, 413}),
        ("full", "POST", "/v1/contributions", JSON, {400, 413, 429}),
        ("full", "GET", "/v1/me", JSON, {200}),
    ],
)
def test_the_next_request_on_the_connection_of_a_rejected_one_is_answered(
    served: Served, key: str, method: str, path: str, content_type: str, statuses: set[int]
) -> None:
    secret = {"full": served.full, "feed": served.feed}.get(key)
    bad_headers = {"Content-Type": content_type} | _bearer(secret)
    good_headers = {"Content-Type": JSON} | _bearer(served.full)
    query = json.dumps({"queries": [{"signals": [pdq(1)]}]}).encode()
    received = set[int]()
    connection = _connection(served.url)
    for number in range(TIMES):
        status, closes = _request(connection, method, path, b"x" * SIZES[number % len(SIZES)], bad_headers)
        received.add(status)
        if closes:
            connection = _connection(served.url)
        assert _request(connection, "POST", "/v1/matches", query, good_headers) == (200, False), (number, status)
    connection.close()
    assert received <= statuses


def test_a_far_too_large_body_closes_the_connection_and_the_answer_says_so(served: Served) -> None:
    connection = _connection(served.url)
    connection.putrequest("POST", "/v1/matches/media")
    for name, value in ({"Content-Type": FORM, "Content-Length": str(10**9)} | _bearer(served.full)).items():
        connection.putheader(name, value)
    connection.endheaders(b"x" * 1000)
    response = connection.getresponse()
    assert (response.status, response.getheader("Connection")) == (403, "close")
    connection.close()


def _bearer(secret: str | None) -> dict[str, str]:
    return {} if secret is None else {"Authorization": f"Bearer {secret}"}


def _connection(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)


def _request(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes, headers: Mapping[str, str]
) -> tuple[int, bool]:
    """The status of the answer, and whether it says that the connection closes."""
    connection.request(method, path, body, dict(headers))
    response = connection.getresponse()
    response.read()
    return response.status, response.getheader("Connection", "").lower() == "close"
