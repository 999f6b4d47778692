"""The hash list of Tech Against Terrorism, with the unmodified `threatexchange` package as the client."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.api.test_videos import video
from tests.web.callers import Caller, Service, body, faults, item, pdq, problem
from tests.web.sharing.served import digits

pytest.importorskip("threatexchange")

from threatexchange.exchanges.clients.techagainstterrorism.api import TATHashListAPI
from threatexchange.exchanges.impl.techagainstterrorism_api import TATSignalExchangeAPI
from threatexchange.signal_type.md5 import VideoMD5Signal
from threatexchange.signal_type.pdq.signal import PdqSignal

LIST = "/tat/api/hash-list/v2/all"


class Reader:
    """A copy of the list that the exchange of `threatexchange` keeps and updates with each fetch."""

    def __init__(self, name: str, secret: str | None) -> None:
        self.exchange: Any = TATSignalExchangeAPI(name, str(secret))
        self.checkpoint: Any = None
        self.records: dict[Any, Any] = {}
        self.update_count = 0

    def fetch(self, pages: int = 1000, kind: Any = PdqSignal) -> set[str]:
        """Fetch updates, at most this number of pages, and return the values of a type in the copy."""
        self.update_count = 0
        for delta, _ in zip(self.exchange.fetch_iter([PdqSignal], self.checkpoint), range(pages), strict=False):
            self.exchange.naive_fetch_merge(self.records, delta.updates)
            self.checkpoint = delta.checkpoint
            self.update_count += len(delta.updates)
            assert self.checkpoint.get_progress_timestamp() > 1_700_000_000
        return set(self.exchange.naive_convert_to_signal_type([kind], None, self.records).get(kind, {}))


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch, url: str) -> str:
    """Point the client to this service, by the one line that an operator of HMA changes."""
    monkeypatch.setattr(TATHashListAPI, "BASE_URL", f"{url}/tat/")
    return url


@pytest.fixture
def reader(base: str, other: Caller) -> Reader:
    return Reader("Other", other.secret)


def test_a_reader_fetches_everything_then_updates_and_deletions(
    service: Service, platform: Caller, reader: Reader, other: Caller
) -> None:
    assert reader.fetch() == set()
    first, second, _ = platform.contribute(item(1), item(2, signals=[pdq(2), "phash:d1c4b2a09f8e7d6c"]), item(3))
    assert reader.fetch() == {digits(pdq(seed)) for seed in (1, 2, 3)}
    assert (len(reader.fetch()), reader.update_count) == (3, 0)
    platform.post(f"/v1/contributions/{first['id']}/withdrawal", {"reason": "other"})
    platform.delete(f"/v1/contributions/{second['id']}/content")
    service.clock.advance(days=30)
    new_reader = Reader("Other", other.secret)
    assert (new_reader.fetch(), new_reader.update_count) == ({digits(pdq(3))}, 1)
    assert (reader.fetch(), reader.update_count) == ({digits(pdq(3))}, 2)
    assert (reader.fetch(), reader.update_count) == ({digits(pdq(3))}, 0)


def test_md5_hashes_of_videos_are_listed_and_deleted(platform: Caller, reader: Reader) -> None:
    md5 = "1" * 31 + "2"
    (contribution, _) = platform.contribute(video(1, 2, 3, signals=[f"md5:{md5}"]), item(signals=[f"md5:{5:032x}"]))
    assert reader.fetch(kind=VideoMD5Signal) == {md5}
    assert reader.fetch() == set()
    platform.post(f"/v1/contributions/{contribution['id']}/withdrawal", {"reason": "other"})
    assert reader.fetch(kind=VideoMD5Signal) == set()


def test_a_reader_keeps_a_hash_that_is_erased_at_once(service: Service, platform: Caller, reader: Reader) -> None:
    (contribution,) = platform.contribute(item(1))
    assert reader.fetch() == {digits(pdq(1))}
    platform.delete(f"/v1/contributions/{contribution['id']}/content?now=1")
    assert reader.fetch() == {digits(pdq(1))}


def test_a_reader_can_stop_at_any_page(platform: Caller, base: str, other: Caller) -> None:
    expected = {digits(pdq(seed)) for seed in range(1100)}
    for seeds in (range(500), range(500, 1000), range(1000, 1100)):
        platform.contribute(*map(item, seeds))
    uninterrupted, interrupted = Reader("Other", other.secret), Reader("Other", other.secret)
    assert uninterrupted.fetch() == expected
    assert len(interrupted.fetch(pages=1)) == 1000
    assert interrupted.fetch() == expected
    assert interrupted.update_count == 100


def test_a_cursor_past_the_end_of_the_log_returns_the_whole_list(service: Service, platform: Caller) -> None:
    platform.contribute(item(1))
    answer = body(platform.get(f"{LIST}?None&order=asc&after=1795600000.5,999999999"))
    assert [entry["hash_digest"] for entry in answer["results"]] == [digits(pdq(1))]


@pytest.mark.parametrize(("name", "password"), [("", ""), ("Platform", "hdb_x"), ("Other", None), ("Platform", "")])
def test_an_invalid_name_or_password_is_rejected(
    service: Service, platform: Caller, name: str, password: str | None
) -> None:
    form = {"username": name, "password": platform.secret if password is None else password, "resend": "False"}
    problem(service.anonymous.post("/tat/token-auth/tcap/", data=form), 401)
    problem(service.anonymous.get(LIST), 401)


def test_an_invalid_query_is_reported_at_its_field(service: Service, platform: Caller) -> None:
    for query in ("after=1.5,x", "page=1", "limit=0", "after=1,-1"):
        assert set(faults(platform.get(f"{LIST}?{query}"))) == {query.partition("=")[0]}
    assert set(faults(service.anonymous.post("/tat/token-auth/tcap/", {}))) == {"username", "password"}
