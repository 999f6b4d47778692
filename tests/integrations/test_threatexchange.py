"""The extension of python-threatexchange, run by its unmodified command line against a service that listens."""

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
    """The command line of `threatexchange`, with a home of its own."""

    def __init__(self, home: Path, secret: str | None) -> None:
        self.home = home
        self.secret = secret

    def run(self, *words: str, status: int = 0) -> str:
        """What a command prints."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HASHDB_", "TX_"))}
        given = {"HOME": str(self.home), "TX_HASHDB_KEY": str(self.secret)}
        command = [*program(THREATEXCHANGE), *words]
        done = subprocess.run(command, env=kept | given, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def held(self) -> dict[str, str]:
        """What it holds, by value, after a fetch."""
        self.run("fetch")
        lines = self.run("dataset", "-P").splitlines()
        return {line.split(" ", 2)[1]: line.split(" ", 2)[2] for line in lines if line.startswith("pdq ")}


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with service_at(f"sqlite:///{tmp_path}/hashdb.sqlite") as made:
        yield made


@pytest.fixture
def platform(service: Service) -> Caller:
    return service.caller(name="Platform")


@pytest.fixture
def other(service: Service) -> Caller:
    return service.caller(name="Other")


@pytest.fixture
def tx(service: Service, other: Caller, tmp_path: Path) -> Iterator[Tx]:
    """The command line, configured to follow the service by the key of the other member."""
    (home := tmp_path / "tx-home").mkdir()
    with listening(service) as url:
        made = Tx(home, other.secret)
        made.run("config", "extensions", "add", "hashdb_threatexchange")
        made.run("config", "collab", "edit", "hashdb", "--create", "ours", "--url", url)
        yield made


def test_the_command_line_follows_and_what_is_gone_is_deleted(service: Service, platform: Caller, tx: Tx) -> None:
    one, two, _ = platform.contribute(item(1), item(2, signals=[pdq(2), "phash:d1c4b2a09f8e7d6c"]), item(3))
    assert set(tx.held()) == {digits(pdq(seed)) for seed in (1, 2, 3)}
    service.caller().contribute(item(1, labels=["manifesto"]))
    platform.post(f"/v1/contributions/{one['id']}/withdrawal", {"reason": "other"})
    platform.delete(f"/v1/contributions/{two['id']}/content?now=1")
    held = tx.held()
    assert set(held) == {digits(pdq(seed)) for seed in (1, 3)}
    assert "POSITIVE_CLASS manifesto" in held[digits(pdq(1))]
    matched = tx.run("match", "--hashes", "photo", "--", digits(pdq(3)))
    assert "glorification" in matched


def test_a_dispute_shows_and_an_opinion_is_told(service: Service, platform: Caller, tx: Tx, tmp_path: Path) -> None:
    one, two = platform.contribute(item(1), item(2))
    service.caller().post(f"/v1/contributions/{one['id']}/opinions", {"opinion": "disputes", "reason": "other"})
    held = tx.held()
    assert held[digits(pdq(1))].startswith("'ours' DISPUTED glorification")
    assert held[digits(pdq(2))].startswith("'ours' POSITIVE_CLASS glorification")
    for seed in (2, 3):
        (file := tmp_path / f"{seed}.txt").write_text(digits(pdq(seed)))
        tx.run("label", "--as-hash", "pdq", "-l", "manifesto", "ours", "photo", str(file))
    (said,) = body(platform.get(f"/v1/contributions/{two['id']}/opinions"))["opinions"]
    assert (said["opinion"], said["member"]["name"]) == ("confirms", "Other")
    assert tx.held()[digits(pdq(3))] == "'ours' POSITIVE_CLASS manifesto (Other)"


@pytest.fixture
def vpdq(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The reference's signal type of videos; what decodes videos for it has to be built, and is not here."""
    monkeypatch.setitem(sys.modules, "vpdq", decoder := ModuleType("vpdq"))
    monkeypatch.setattr(decoder, "VpdqFeature", object, raising=False)
    from threatexchange.extensions.vpdq.vpdq import VPDQSignal

    return VPDQSignal


def test_videos_are_read_as_vpdq_and_digests_and_matched_by_the_references_index(
    service: Service, platform: Caller, other: Caller, vpdq: Any
) -> None:
    from threatexchange.exchanges.fetch_state import SignalOpinion, SignalOpinionCategory
    from threatexchange.signal_type.md5 import VideoMD5Signal
    from threatexchange.signal_type.pdq.signal import PdqSignal
    from threatexchange.signal_type.sha256 import VideoSHA256Signal

    md5, sha256 = f"{5:032x}", f"{7:064x}"
    one, two, _ = platform.contribute(
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
        index = vpdq.get_index_cls().build([(text, one.contributions[0].id) for text, one in held[vpdq].items()])
        clip = json.dumps([f"{digits(pdq(seed))},90,{place}.0" for place, seed in enumerate((3, 4, 5, 6))])
        assert [(match.metadata, match.similarity_info.pretty_str()) for match in index.query(clip)] == [
            (one["id"], "100%[40%]")
        ]
        positive = SignalOpinion(True, SignalOpinionCategory.POSITIVE_CLASS, {"manifesto"})
        exchange.report_opinion(VideoMD5Signal, md5, positive)
        exchange.report_opinion(VideoSHA256Signal, f"{8:064x}", positive)
        with pytest.raises(NotImplementedError, match="pdq, video_md5, video_sha256, hashdb_url"):
            exchange.report_opinion(vpdq, clip, positive)
        platform.post(f"/v1/contributions/{two['id']}/withdrawal", {"reason": "other"})
        (delta,) = exchange.fetch_iter(types, delta.checkpoint)
    assert delta.updates[str(two["id"])] is None
    (said,) = body(platform.get(f"/v1/contributions/{one['id']}/opinions"))["opinions"]
    assert said["opinion"] == "confirms"
    made = body(other.get("/v1/contributions"))["contributions"][-1]
    assert (made["signals"], made["media"], made["labels"]) == ([f"sha256:{8:064x}"], "video", ["manifesto"])


def _exchange_class() -> Any:
    sys.path.insert(0, str(EXTENSION))
    try:
        from hashdb_threatexchange import HashdbSignalExchangeAPI
    finally:
        sys.path.remove(str(EXTENSION))
    return HashdbSignalExchangeAPI


def test_a_negative_opinion_is_a_dispute(service: Service, platform: Caller, other: Caller) -> None:
    from threatexchange.exchanges.fetch_state import SignalOpinion, SignalOpinionCategory
    from threatexchange.signal_type.pdq.signal import PdqSignal

    (one,) = platform.contribute(item(1))
    with listening(service) as url:
        exchange: Any = _exchange_class()(url, str(other.secret))
        negative = SignalOpinion(True, SignalOpinionCategory.NEGATIVE_CLASS, {"edsa_context"})
        exchange.report_opinion(PdqSignal, digits(pdq(1)), negative)
    (said,) = body(platform.get(f"/v1/contributions/{one['id']}/opinions"))["opinions"]
    assert (said["opinion"], said["reason"]) == ("disputes", "edsa_context")


def test_a_log_that_was_set_back_is_fetched_again_from_the_beginning(
    service: Service, platform: Caller, tx: Tx
) -> None:
    platform.contribute(item(1))
    assert len(tx.held()) == 1
    engine = create_engine(service.url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE log SET epoch = 'another'")
    engine.dispose()
    tx.run("fetch")
    platform.contribute(item(2))
    assert len(tx.held()) == 2


def test_keys_of_several_services_are_told_apart() -> None:
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


def test_addresses_and_texts_are_read_by_signal_types_of_the_extension(
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
    one, two, _ = platform.contribute(
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
        asked = url_type.validate_signal_str(url_type.hash_from_str("http://EXAMPLE.org/leaflet?theme=dark#top"))
        assert [match.metadata for match in built[url_type].query(asked)] == [one["id"]]
        assert built[url_type].query(url_type.hash_from_str("https://example.org/other")) == []
        around = " ".join(f"filler{place}" for place in range(300))
        text = text_type.validate_signal_str(text_type.hash_from_str(f"{around} {WORDS} {around}"))
        assert [match.metadata for match in built[text_type].query(text)] == [two["id"]]
        assert built[text_type].query(text_type.hash_from_str(around)) == []
        assert text_type.hash_from_str("too short") == ""
        positive = SignalOpinion(True, SignalOpinionCategory.POSITIVE_CLASS, {"manifesto"})
        exchange.report_opinion(url_type, asked, positive)
        exchange.report_opinion(url_type, url_type.hash_from_str("https://example.org/new?x=1"), positive)
        with pytest.raises(NotImplementedError):
            exchange.report_opinion(text_type, text, positive)
    for wrong in ("[]x", "[1]", "[]", "{}"):
        with pytest.raises(ValueError, match=r"hash,first,end|Extra data"):
            text_type.validate_signal_str(wrong)
    with pytest.raises(ValueError, match="64 hexadecimal digits"):
        url_type.validate_signal_str("https://example.org/")
    made = body(other.get("/v1/contributions"))["contributions"][-1]
    assert (made["signals"], made["media"]) == (
        [str(url_signals("https://example.org/new?x=1", for_query=False)[0])],
        "document",
    )
