"""The extension of python-threatexchange, run by its unmodified command line against a real service."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import create_engine

from hashdb.hashing.addresses import url_signals
from tests.snippets import EXTENSION
from tests.warm import THREATEXCHANGE, program
from tests.web.api.test_videos import video
from tests.web.callers import Caller, Service, body, item, pdq, service_at
from tests.web.sharing.served import digits, listening
from tests.web.sharing.test_texts import WORDS, text_draft

pytest.importorskip("threatexchange")


class Tx:
    """The command line of `threatexchange`, with its own home."""

    def __init__(self, home: Path, secret: str | None) -> None:
        self.home = home
        self.secret = secret

    def run(self, *words: str, status: int = 0) -> str:
        """Run a command, and return its output."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HASHDB_", "TX_"))}
        settings = {"HOME": str(self.home), "TX_HASHDB_KEY": str(self.secret)}
        command = [*program(THREATEXCHANGE), *words]
        result = subprocess.run(command, env=kept | settings, capture_output=True, text=True, timeout=120, check=False)
        assert result.returncode == status, result.stdout + result.stderr
        return result.stdout

    def fetch_pdq(self) -> dict[str, str]:
        """Fetch, and return the PDQ hashes with their descriptions."""
        self.run("fetch")
        lines = self.run("dataset", "-P").splitlines()
        return {line.split(" ", 2)[1]: line.split(" ", 2)[2] for line in lines if line.startswith("pdq ")}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with service_at(f"sqlite:///{tmp_path}/hashdb.sqlite") as service:
        yield service


@pytest.fixture
def platform(service: Service) -> Caller:
    return service.caller(name="Platform")


@pytest.fixture
def other(service: Service) -> Caller:
    return service.caller(name="Other")


@pytest.fixture
def tx(service: Service, other: Caller, tmp_path: Path) -> Iterator[Tx]:
    """The command line, configured to fetch from the service with the key of the other member."""
    (home := tmp_path / "tx-home").mkdir()
    with listening(service) as url:
        tx = Tx(home, other.secret)
        tx.run("config", "extensions", "add", "hashdb_threatexchange")
        tx.run("config", "collab", "edit", "hashdb", "--create", "exchange", "--url", url)
        yield tx


def test_a_fetch_adds_contributions_and_deletes_those_that_are_gone(service: Service, platform: Caller, tx: Tx) -> None:
    first, second, _ = platform.contribute(item(1), item(2, signals=[pdq(2), "phash:d1c4b2a09f8e7d6c"]), item(3))
    assert set(tx.fetch_pdq()) == {digits(pdq(seed)) for seed in (1, 2, 3)}
    service.caller().contribute(item(1, labels=["manifesto"]))
    platform.post(f"/v1/contributions/{first['id']}/withdrawal", {"reason": "other"})
    platform.delete(f"/v1/contributions/{second['id']}/content?now=1")
    held = tx.fetch_pdq()
    assert set(held) == {digits(pdq(seed)) for seed in (1, 3)}
    assert "POSITIVE_CLASS manifesto" in held[digits(pdq(1))]
    matched = tx.run("match", "--hashes", "photo", "--", digits(pdq(3)))
    assert "glorification" in matched


def test_a_fetch_shows_disputes_and_a_label_becomes_an_opinion(
    service: Service, platform: Caller, tx: Tx, tmp_path: Path
) -> None:
    first, second = platform.contribute(item(1), item(2))
    service.caller().post(f"/v1/contributions/{first['id']}/opinions", {"opinion": "disputes", "reason": "other"})
    held = tx.fetch_pdq()
    assert held[digits(pdq(1))].startswith("'exchange' DISPUTED glorification")
    assert held[digits(pdq(2))].startswith("'exchange' POSITIVE_CLASS glorification")
    for seed in (2, 3):
        (file := tmp_path / f"{seed}.txt").write_text(digits(pdq(seed)))
        tx.run("label", "--as-hash", "pdq", "-l", "manifesto", "exchange", "photo", str(file))
    (opinion,) = body(platform.get(f"/v1/contributions/{second['id']}/opinions"))["opinions"]
    assert (opinion["opinion"], opinion["member"]["name"]) == ("confirms", "Other")
    assert tx.fetch_pdq()[digits(pdq(3))] == "'exchange' POSITIVE_CLASS manifesto (Other)"


@pytest.fixture
def vpdq(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The signal type of videos of the reference. A stub replaces its decoder, which would have to be compiled."""
    monkeypatch.setitem(sys.modules, "vpdq", decoder := ModuleType("vpdq"))
    monkeypatch.setattr(decoder, "VpdqFeature", object, raising=False)
    from threatexchange.extensions.vpdq.vpdq import VPDQSignal

    return VPDQSignal


def test_videos_are_fetched_as_vpdq_and_digests_and_match_in_vpdq_index(
    service: Service, platform: Caller, other: Caller, vpdq: Any
) -> None:
    from threatexchange.exchanges.fetch_state import SignalOpinion, SignalOpinionCategory
    from threatexchange.signal_type.md5 import VideoMD5Signal
    from threatexchange.signal_type.pdq.signal import PdqSignal
    from threatexchange.signal_type.sha256 import VideoSHA256Signal

    md5, sha256 = f"{5:032x}", f"{7:064x}"
    first, second, _ = platform.contribute(
        video(*range(10), signals=[f"md5:{md5}", f"sha256:{sha256}"]),
        video(20, 21, 22),
        item(signals=[f"md5:{6:032x}"]),
    )
    types = [PdqSignal, VideoMD5Signal, VideoSHA256Signal, vpdq]
    with listening(service) as url:
        exchange: Any = _exchange_class()(url, str(other.secret))
        (delta,) = exchange.fetch_iter(types, None)
        held = exchange.naive_convert_to_signal_type(types, None, delta.updates)
        assert (set(held[VideoMD5Signal]), set(held[VideoSHA256Signal]), PdqSignal in held) == ({md5}, {sha256}, False)
        index = vpdq.get_index_cls().build(
            [(text, metadata.contributions[0].id) for text, metadata in held[vpdq].items()]
        )
        clip = json.dumps([f"{digits(pdq(seed))},90,{place}.0" for place, seed in enumerate((3, 4, 5, 6))])
        assert [(match.metadata, match.similarity_info.pretty_str()) for match in index.query(clip)] == [
            (first["id"], "100%[40%]")
        ]
        positive = SignalOpinion(True, SignalOpinionCategory.POSITIVE_CLASS, {"manifesto"})
        exchange.report_opinion(VideoMD5Signal, md5, positive)
        exchange.report_opinion(VideoSHA256Signal, f"{8:064x}", positive)
        with pytest.raises(NotImplementedError, match="pdq, video_md5, video_sha256, hashdb_url"):
            exchange.report_opinion(vpdq, clip, positive)
        platform.post(f"/v1/contributions/{second['id']}/withdrawal", {"reason": "other"})
        (delta,) = exchange.fetch_iter(types, delta.checkpoint)
    assert delta.updates[str(second["id"])] is None
    (opinion,) = body(platform.get(f"/v1/contributions/{first['id']}/opinions"))["opinions"]
    assert opinion["opinion"] == "confirms"
    added = body(other.get("/v1/contributions"))["contributions"][-1]
    assert (added["signals"], added["media"], added["labels"]) == ([f"sha256:{8:064x}"], "video", ["manifesto"])


def _exchange_class() -> Any:
    sys.path.insert(0, str(EXTENSION))
    try:
        from hashdb_threatexchange import HashdbSignalExchangeAPI
    finally:
        sys.path.remove(str(EXTENSION))
    return HashdbSignalExchangeAPI


def test_a_negative_opinion_becomes_a_dispute(service: Service, platform: Caller, other: Caller) -> None:
    from threatexchange.exchanges.fetch_state import SignalOpinion, SignalOpinionCategory
    from threatexchange.signal_type.pdq.signal import PdqSignal

    (contribution,) = platform.contribute(item(1))
    with listening(service) as url:
        exchange: Any = _exchange_class()(url, str(other.secret))
        negative = SignalOpinion(True, SignalOpinionCategory.NEGATIVE_CLASS, {"edsa_context"})
        exchange.report_opinion(PdqSignal, digits(pdq(1)), negative)
    (opinion,) = body(platform.get(f"/v1/contributions/{contribution['id']}/opinions"))["opinions"]
    assert (opinion["opinion"], opinion["reason"]) == ("disputes", "edsa_context")


def test_a_log_with_a_new_epoch_is_fetched_from_the_beginning(service: Service, platform: Caller, tx: Tx) -> None:
    platform.contribute(item(1))
    assert len(tx.fetch_pdq()) == 1
    engine = create_engine(service.url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE log SET epoch = 'another'")
    engine.dispose()
    tx.run("fetch")
    platform.contribute(item(2))
    assert len(tx.fetch_pdq()) == 2


def test_each_service_gets_its_own_key() -> None:
    sys.path.insert(0, str(EXTENSION))
    try:
        from hashdb_threatexchange.records import HashdbCredentials
    finally:
        sys.path.remove(str(EXTENSION))
    several = HashdbCredentials("https://a.example=hdb_a, https://b.example:8443/=hdb_b")
    assert several.for_url("https://a.example/") == "hdb_a"
    assert several.for_url("https://b.example:8443") == "hdb_b"
    assert several.for_url("https://c.example") == ""
    assert HashdbCredentials("hdb_x").for_url("https://c.example") == "hdb_x"


def test_addresses_and_texts_use_the_signal_types_of_the_extension(
    service: Service, platform: Caller, other: Caller
) -> None:
    from threatexchange.content_type.text import TextContent
    from threatexchange.content_type.url import URLContent
    from threatexchange.exchanges.fetch_state import SignalOpinion, SignalOpinionCategory

    exchange_class = _exchange_class()
    sys.path.insert(0, str(EXTENSION))
    try:
        from hashdb_threatexchange import TX_MANIFEST, HashdbTextSignal, HashdbUrlSignal
    finally:
        sys.path.remove(str(EXTENSION))
    url_type, text_type = HashdbUrlSignal, HashdbTextSignal
    types = [url_type, text_type]
    assert list(TX_MANIFEST.signal_types) == types
    assert [kind.get_content_types() for kind in types] == [[URLContent], [TextContent]]
    address = url_signals("https://example.org/leaflet", for_query=False)
    with_address, with_text, _ = platform.contribute(
        item(signals=list(map(str, address)), media="document", quality=None),
        text_draft(),
        item(
            signals=[],
            frames=[{"page": 1, "quality": 90, "signals": [pdq(1)]}],
            media="document",
            quality=None,
        ),
    )
    with listening(service) as url:
        exchange: Any = exchange_class(url, str(other.secret))
        (delta,) = exchange.fetch_iter(types, None)
        held = exchange.naive_convert_to_signal_type(types, None, delta.updates)
        built = {
            kind: kind.get_index_cls().build([(v, m.contributions[0].id) for v, m in held[kind].items()])
            for kind in types
        }
        address_hash = url_type.validate_signal_str(url_type.hash_from_str("http://EXAMPLE.org/leaflet?theme=dark#top"))
        assert [match.metadata for match in built[url_type].query(address_hash)] == [with_address["id"]]
        assert built[url_type].query(url_type.hash_from_str("https://example.org/other")) == []
        filler = " ".join(f"filler{place}" for place in range(300))
        text = text_type.validate_signal_str(text_type.hash_from_str(f"{filler} {WORDS} {filler}"))
        assert [match.metadata for match in built[text_type].query(text)] == [with_text["id"]]
        assert built[text_type].query(text_type.hash_from_str(filler)) == []
        assert text_type.hash_from_str("too short") == ""
        assert built[text_type].query("") == []
        positive = SignalOpinion(True, SignalOpinionCategory.POSITIVE_CLASS, {"manifesto"})
        exchange.report_opinion(url_type, address_hash, positive)
        exchange.report_opinion(url_type, url_type.hash_from_str("https://example.org/new?x=1"), positive)
        with pytest.raises(NotImplementedError):
            exchange.report_opinion(text_type, text, positive)
    for invalid in ("[]x", "[1]", "[]", "{}", "1", "true"):
        with pytest.raises(ValueError, match=r"hash,first,end|Extra data"):
            text_type.validate_signal_str(invalid)
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        url_type.validate_signal_str("https://example.org/")
    added = body(other.get("/v1/contributions"))["contributions"][-1]
    assert (added["signals"], added["media"]) == (
        [str(url_signals("https://example.org/new?x=1", for_query=False)[0])],
        "document",
    )
