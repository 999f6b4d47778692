"""Tech Against Terrorism's hash list, read by the unmodified `threatexchange` package."""

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
    """A copy kept by the exchange of `threatexchange`, fetch by fetch."""

    def __init__(self, name: str, secret: str | None) -> None:
        self.exchange: Any = TATSignalExchangeAPI(name, str(secret))
        self.checkpoint: Any = None
        self.held: dict[Any, Any] = {}
        self.got = 0

    def fetch(self, pages: int = 1000, kind: Any = PdqSignal) -> set[str]:
        """The values of a type that it holds, when it has fetched what is new (of so many pages)."""
        self.got = 0
        for delta, _ in zip(self.exchange.fetch_iter([PdqSignal], self.checkpoint), range(pages), strict=False):
            self.exchange.naive_fetch_merge(self.held, delta.updates)
            self.checkpoint = delta.checkpoint
            self.got += len(delta.updates)
            assert self.checkpoint.get_progress_timestamp() > 1_700_000_000
        return set(self.exchange.naive_convert_to_signal_type([kind], None, self.held).get(kind, {}))


@pytest.fixture
def base(monkeypatch: pytest.MonkeyPatch, url: str) -> str:
    """The one line with which an operator of HMA points the client here."""
    monkeypatch.setattr(TATHashListAPI, "BASE_URL", f"{url}/tat/")
    return url


@pytest.fixture
def reader(base: str, other: Caller) -> Reader:
    return Reader("Other", other.secret)


def test_a_reader_fetches_all_then_what_is_new_and_drops_what_is_gone(
    service: Service, platform: Caller, reader: Reader, other: Caller
) -> None:
    assert reader.fetch() == set()
    one, two, _ = platform.contribute(item(1), item(2, signals=[pdq(2), "phash:d1c4b2a09f8e7d6c"]), item(3))
    assert reader.fetch() == {digits(pdq(seed)) for seed in (1, 2, 3)}
    assert (len(reader.fetch()), reader.got) == (3, 0)
    platform.post(f"/v1/contributions/{one['id']}/withdrawal", {"reason": "other"})
    platform.delete(f"/v1/contributions/{two['id']}/content")
    service.clock.go(days=30)
    late = Reader("Other", other.secret)
    assert (late.fetch(), late.got) == ({digits(pdq(3))}, 1)
    assert (reader.fetch(), reader.got) == ({digits(pdq(3))}, 2)
    assert (reader.fetch(), reader.got) == ({digits(pdq(3))}, 0)


def test_the_md5_of_videos_is_listed_and_deleted(platform: Caller, reader: Reader) -> None:
    md5 = "1" * 31 + "2"
    (one, _) = platform.contribute(video(1, 2, 3, signals=[f"md5:{md5}"]), item(signals=[f"md5:{5:032x}"]))
    assert reader.fetch(kind=VideoMD5Signal) == {md5}
    assert reader.fetch() == set()
    platform.post(f"/v1/contributions/{one['id']}/withdrawal", {"reason": "other"})
    assert reader.fetch(kind=VideoMD5Signal) == set()


def test_what_is_erased_at_once_can_be_told_to_nobody(service: Service, platform: Caller, reader: Reader) -> None:
    (one,) = platform.contribute(item(1))
    assert reader.fetch() == {digits(pdq(1))}
    platform.delete(f"/v1/contributions/{one['id']}/content?now=1")
    assert reader.fetch() == {digits(pdq(1))}


def test_a_reader_may_stop_at_any_page(platform: Caller, base: str, other: Caller) -> None:
    wanted = {digits(pdq(seed)) for seed in range(1100)}
    for seeds in (range(500), range(500, 1000), range(1000, 1100)):
        platform.contribute(*map(item, seeds))
    whole, halting = Reader("Other", other.secret), Reader("Other", other.secret)
    assert whole.fetch() == wanted
    assert len(halting.fetch(pages=1)) == 1000
    assert halting.fetch() == wanted
    assert halting.got == 100


def test_a_number_of_a_log_that_was_set_back_reads_all_again(service: Service, platform: Caller) -> None:
    platform.contribute(item(1))
    answer = body(platform.get(f"{LIST}?None&order=asc&after=1795600000.5,999999999"))
    assert [one["hash_digest"] for one in answer["results"]] == [digits(pdq(1))]


@pytest.mark.parametrize(("name", "password"), [("", ""), ("Platform", "hdb_x"), ("Other", None), ("Platform", "")])
def test_a_wrong_name_or_password_is_refused(
    service: Service, platform: Caller, name: str, password: str | None
) -> None:
    said = {"username": name, "password": platform.secret if password is None else password, "resend": "False"}
    problem(service.anonymous.post("/tat/token-auth/tcap/", data=said), 401)
    problem(service.anonymous.get(LIST), 401)


def test_a_wrong_query_is_told(service: Service, platform: Caller) -> None:
    for wrong in ("after=1.5,x", "page=1", "limit=0", "after=1,-1"):
        assert set(faults(platform.get(f"{LIST}?{wrong}"))) == {wrong.partition("=")[0]}
    assert set(faults(service.anonymous.post("/tat/token-auth/tcap/", {}))) == {"username", "password"}
