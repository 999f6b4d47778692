"""A request that is refused with its body leaves its connection usable, or says that it closes it."""

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


class Refused(NamedTuple):
    """A service that takes no pictures, and its keys: one for all, one that may only follow the feed."""

    url: str
    full: str
    feed: str


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refused]:
    """A service of two workers, whose keys may make three requests of scope `contribute` a day."""
    home = tmp_path_factory.mktemp("refusing") / "home"
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
        yield Refused(url, full, feed)


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
def test_the_next_request_on_the_connection_of_a_refused_one_is_answered(
    refusing: Refused, key: str, method: str, path: str, content_type: str, statuses: set[int]
) -> None:
    secret = {"full": refusing.full, "feed": refusing.feed}.get(key)
    bad = {"Content-Type": content_type} | _bearer(secret)
    good = {"Content-Type": JSON} | _bearer(refusing.full)
    asked = json.dumps({"queries": [{"signals": [pdq(1)]}]}).encode()
    seen = set[int]()
    connection = _connection(refusing.url)
    for number in range(TIMES):
        status, closes = _ask(connection, method, path, b"x" * SIZES[number % len(SIZES)], bad)
        seen.add(status)
        if closes:
            connection = _connection(refusing.url)
        assert _ask(connection, "POST", "/v1/matches", asked, good) == (200, False), (number, status)
    connection.close()
    assert seen <= statuses


def test_a_body_larger_than_any_that_is_taken_ends_its_connection_and_says_so(refusing: Refused) -> None:
    connection = _connection(refusing.url)
    connection.putrequest("POST", "/v1/matches/media")
    for name, value in ({"Content-Type": FORM, "Content-Length": str(10**9)} | _bearer(refusing.full)).items():
        connection.putheader(name, value)
    connection.endheaders(b"x" * 1000)
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Connection")) == (403, "close")
    connection.close()


def _bearer(secret: str | None) -> dict[str, str]:
    return {} if secret is None else {"Authorization": f"Bearer {secret}"}


def _connection(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=20)


def _ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes, headers: Mapping[str, str]
) -> tuple[int, bool]:
    """The status of the answer, and whether it says that the connection closes."""
    connection.request(method, path, body, dict(headers))
    answer = connection.getresponse()
    answer.read()
    return answer.status, answer.getheader("Connection", "").lower() == "close"
