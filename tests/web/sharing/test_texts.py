"""Addresses, texts and documents in the protocols of other systems, sent by their clients."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hashdb.hashing.addresses import url_signals
from hashdb.hashing.texts import hash_text
from tests.documents import docx, paragraph, pdf
from tests.web.callers import Caller, Service, body, item, pdq, service_at
from tests.web.pictures import photo
from tests.web.sharing.served import digits, listening
from tests.web.sharing.test_hma import message, upload
from tests.web.test_logs import log_output

__all__ = ["log_output"]

ADDRESS = "https://Example.org/watch?v=1&utm_source=mail"
WORDS = " ".join(f"{word}{place}" for place in range(60) for word in ("attack", "city", "wall", "bread", "river"))
LOOKUP = "/hma/m/lookup"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service on SQLite that accepts texts and has a label for contributions by other protocols."""
    url = f"sqlite:///{tmp_path}/hashdb.sqlite"
    with service_at(url, interop_label="glorification", accept_text=True) as service:
        yield service


@pytest.fixture
def url(service: Service) -> Iterator[str]:
    with listening(service) as address:
        yield address


def text_draft(text: str = WORDS) -> dict[str, Any]:
    """Return the fields of a draft of a text."""
    frames = [
        {"words": [int(frame.at), int(frame.at) + frame.length], "signals": list(map(str, frame.signals))}
        for frame in hash_text(text)
    ]
    return item(signals=[], frames=frames, media="text", quality=None)


def look_up(caller: Caller, kind: str, value: str) -> Any:
    """Look up a value by POST, so that no proxy logs it."""
    return body(caller.post(LOOKUP, data={"signal_type": kind, "signal": value}))


def test_an_address_is_stored_as_its_hash_and_matches_in_every_form(
    platform: Caller, other: Caller, log_output: io.StringIO
) -> None:
    added = body(platform.post("/hma/c/bank/PLATFORM/signal", {"url": ADDRESS}))
    digest = digits(str(url_signals(ADDRESS, for_query=False)[0]))
    assert added["signals"] == {"url": digest}
    hit = {"PLATFORM": [{"bank_content_id": added["id"], "distance": "-"}]}
    for value in (ADDRESS, "hxxp://example[.]org/watch?v=1", f"{ADDRESS}&utm_medium=x", digest):
        assert look_up(platform, "url", value) == hit
        assert body(platform.get(LOOKUP, query_string={"signal_type": "url", "signal": value})) == hit
    assert look_up(platform, "url", "https://example.org/watch?v=2") == {}
    assert message(platform.post(LOOKUP, data={"signal_type": "url", "signal": "mailto:a@b"}), 400).startswith(
        "invalid"
    )
    without_query = body(platform.post("/hma/c/bank/PLATFORM/signal", {"url": "https://example.org/leaflet"}))
    assert (
        look_up(platform, "url", "https://example.org/leaflet?mail=3")["PLATFORM"][0]["bank_content_id"]
        == without_query["id"]
    )
    pair = [ADDRESS, "http://example.org/watch?v=1"]
    assert body(platform.post("/hma/m/compare", {"url": pair})) == {"url": [True, {}]}
    assert body(platform.get(f"/v1/contributions/{added['id']}"))["media"] == "document"
    assert "example" not in log_output.getvalue().replace("test.example", "").lower()


def test_a_text_is_stored_as_windows_and_matches_a_passage(platform: Caller) -> None:
    added = body(platform.post("/hma/c/bank/PLATFORM/signal", {"raw_text": WORDS}))
    windows = json.loads(added["signals"]["simhash256"])
    assert [window.split(",")[1:] for window in windows] == [
        ["0", "150"],
        ["50", "200"],
        ["100", "250"],
        ["150", "300"],
    ]
    content = body(platform.get(f"/hma/c/bank/PLATFORM/content/{added['id']}?include_signals=true"))
    assert content["signals"] == added["signals"]
    filler = " ".join(f"filler{place}" for place in range(400))
    (hit,) = look_up(platform, "raw_text", f"{filler} {WORDS} {filler}")["PLATFORM"]
    assert hit["bank_content_id"] == added["id"]
    assert hit["distance"].endswith("[100%]")
    assert look_up(platform, "simhash256", added["signals"]["simhash256"])["PLATFORM"] == [
        hit | {"distance": "100%[100%]"}
    ]
    (window_hit,) = look_up(platform, "simhash256", windows[0].partition(",")[0])["PLATFORM"]
    assert window_hit == {"bank_content_id": added["id"], "distance": "0"}
    assert look_up(platform, "raw_text", filler) == {}
    assert "too short" in message(platform.post(LOOKUP, data={"signal_type": "raw_text", "signal": "two words"}), 400)
    raw_lookup = platform.get("/hma/m/raw_lookup", query_string={"signal_type": "raw_text", "signal": WORDS})
    assert body(raw_lookup) == {"matches": [added["id"]]}
    assert "look the text up" in message(platform.post("/hma/m/compare", {"raw_text": ["a", "b"]}), 400)


def test_without_the_setting_texts_are_rejected_and_hashes_accepted(tmp_path: Path) -> None:
    with service_at(f"sqlite:///{tmp_path}/other.sqlite", interop_label="glorification") as service:
        caller = service.caller(name="Platform")
        for refused in (
            caller.post(LOOKUP, data={"signal_type": "raw_text", "signal": WORDS}),
            caller.post("/hma/c/bank/PLATFORM/signal", {"raw_text": WORDS}),
        ):
            assert "hashdb hash" in message(refused, 403)
        caller.contribute(text_draft())
        windows = json.dumps(
            [
                f"{digits(str(frame.signals[0]))},{frame.at:.0f},{frame.at + frame.length:.0f}"
                for frame in hash_text(WORDS)
            ]
        )
        assert look_up(caller, "simhash256", windows)["PLATFORM"][0]["bank_content_id"] == 1


@pytest.mark.parametrize("field", ["photo", "video", "text", "pdf", "file"])
@pytest.mark.parametrize("path", ["/hma/h/hash", LOOKUP, "/hma/c/bank/PLATFORM/content"])
def test_without_the_setting_files_with_words_are_rejected(
    tmp_path_factory: pytest.TempPathFactory, path: str, field: str
) -> None:
    url = f"sqlite:///{tmp_path_factory.mktemp('refusing')}/hashdb.sqlite"
    with service_at(url, interop_label="glorification") as service:
        caller = service.caller(name="Platform")
        before = service.rows()
        for octets in (WORDS.encode(), b"<p>" + WORDS.encode(), pdf([WORDS]), docx(paragraph(WORDS))):
            refused = caller.post(path, **upload(octets, field))
            assert "hashdb hash" in message(refused, 403)
            assert "attack7" not in refused.text
        # A file that starts as a picture is a picture, and its words are not read.
        polyglot = caller.post("/hma/h/hash", **upload(photo() + pdf([WORDS]), "file"))
        assert "pdq" in body(polyglot)
        assert service.rows() == before


def test_a_document_matches_by_the_digest_of_its_file(platform: Caller) -> None:
    sha256 = hashlib.sha256(b"%PDF-").hexdigest()
    added = body(platform.post("/hma/c/bank/PLATFORM/signal", {"sha256": sha256}))
    assert body(platform.get(f"/v1/contributions/{added['id']}"))["media"] == "document"
    assert look_up(platform, "sha256", sha256) == {"PLATFORM": [{"bank_content_id": added["id"], "distance": "-"}]}


def test_a_text_file_is_hashed_contributed_and_looked_up(platform: Caller) -> None:
    file = upload(WORDS.encode(), "text")
    hashed = body(platform.post("/hma/h/hash", **file))
    assert set(hashed) == {"md5", "sha256", "simhash256"}
    assert hashed["sha256"] == hashlib.sha256(WORDS.encode()).hexdigest()
    added = body(platform.post("/hma/c/bank/PLATFORM/content", **upload(WORDS.encode(), "file")))
    assert body(platform.get(f"/v1/contributions/{added['id']}"))["media"] == "text"
    matches = body(platform.post(LOOKUP, **file))
    assert {kind: list(banks) for kind, banks in matches.items()} == {kind: ["PLATFORM"] for kind in hashed}
    assert body(platform.post(f"{LOOKUP}?signal_type=simhash256", **file)) == matches["simhash256"]
    assert "must be a document" in message(platform.post("/hma/h/hash", **upload(photo(), "pdf")), 400)
    assert set(body(platform.post("/hma/h/hash?types=pdq", **upload(photo(), "file")))) == {"pdq"}


def test_an_unsupported_type_is_rejected_with_the_reason(platform: Caller) -> None:
    for kind in ("url_md5", "text_tlsh", "trend_query"):
        assert "is not supported, because" in message(
            platform.post(LOOKUP, data={"signal_type": kind, "signal": "x"}), 400
        )
    (contribution,) = platform.contribute(item(1))
    assert (
        look_up(platform, "pdq_ocr", f"{digits(pdq(1))},words of the picture")["PLATFORM"][0]["bank_content_id"]
        == contribution["id"]
    )
    names = [entry["name"] for entry in body(platform.get("/hma/c/signal_type"))]
    assert {"url", "raw_text", "simhash256", "md5", "sha256"} <= set(names)
    assert [entry["name"] for entry in body(platform.get("/hma/c/content_type"))] == [
        "photo",
        "video",
        "text",
        "url",
        "file",
        "pdf",
    ]


@pytest.mark.parametrize("value", ["[]", "[1]", "{}", "[", '["aa,1,2"]', json.dumps(["0" * 64 + ",9,3"])])
def test_an_invalid_list_of_windows_is_rejected(platform: Caller, value: str) -> None:
    refused = platform.post(LOOKUP, data={"signal_type": "simhash256", "signal": value})
    assert refused.status_code in (400, 422)


def test_threatexchange_sends_addresses_texts_and_digests(service: Service, platform: Caller, url: str) -> None:
    pytest.importorskip("threatexchange")
    from tests.web.sharing.test_threatexchange import client_for, descriptor

    client = client_for(url, platform)
    digest, ids = str(url_signals(ADDRESS, for_query=False)[0]), []
    for kind, value, tags in (
        ("URI", ADDRESS, ""),
        ("RAW_URI", "http://example.org/watch?v=1", ""),
        ("UNCLICKABLE_URL", "[h]ttp://example.org/watch?v=1", ""),
        ("TEXT_STRING", WORDS, ""),
        ("HASH_SHA256", "ab" * 32, "media_type_document"),
    ):
        fields = descriptor(value, kind) | ({"tags": tags} if tags else {})
        ids.append(client.upload_threat_descriptor(fields, False, False)[2]["id"])
    assert len(set(ids[:3])) == 1
    contributions = [body(platform.get(f"/v1/contributions/{id}")) for id in ids[2:]]
    assert [(contribution["media"], contribution["signals"]) for contribution in contributions] == [
        ("document", [digest]),
        ("text", []),
        ("document", ["sha256:" + "ab" * 32]),
    ]
    assert contributions[1]["words"] == 300
    error = client.upload_threat_descriptor(descriptor("not an address", "URI"), False, False)[2]
    assert error["status"] == 400
    for unsupported in ("HASH_URL_MD5", "HASH_TEXT_TLSH", "TREND_QUERY"):
        assert client.upload_threat_descriptor(descriptor("a" * 32, unsupported), False, False)[2]["status"] == 422
    # The updates contain no address, and no page of a document as a frame of a video.
    service.clock.advance(seconds=1)
    types = {update["type"] for page in client.get_threat_updates(1) for update in page if not update["should_delete"]}
    assert types == {"HASH_SHA256"}


def test_stopncii_sends_addresses_and_texts(platform: Caller, url: str) -> None:
    pytest.importorskip("threatexchange")
    from threatexchange.exchanges.clients.stopncii.api import StopNCIISignalType

    from tests.web.sharing.test_stopncii import client_for

    client = client_for(url, platform)
    client.submit_hash(StopNCIISignalType.URL, ADDRESS)
    client.submit_hash(StopNCIISignalType.Text, WORDS)
    contributions = body(platform.get("/v1/contributions"))["contributions"]
    assert [(contribution["media"], contribution["signals"]) for contribution in contributions] == [
        ("document", [str(url_signals(ADDRESS, for_query=False)[0])]),
        ("text", []),
    ]
    records = {"hashRecords": [{"signalType": "URL", "hashValue": "secret words"}]}
    headers = {"x-functions-key": str(platform.secret)}
    refused = platform.post("/stopncii/v1/SubmitHashes", records, headers=headers)
    assert refused.status_code == 422
    assert "secret words" not in refused.text


def test_pages_of_a_document_are_not_returned_as_frames_of_a_video(service: Service, platform: Caller) -> None:
    pages = [{"page": page, "quality": 90, "signals": [pdq(page)]} for page in (1, 2)]
    (contribution,) = platform.contribute(
        item(signals=["sha256:" + "ab" * 32], frames=pages, media="document", quality=None)
    )
    content = body(platform.get(f"/hma/c/bank/PLATFORM/content/{contribution['id']}?include_signals=true"))
    assert content["signals"] == {"sha256": "ab" * 32}
    match = body(platform.get("/hma/m/lookup", query_string={"signal_type": "pdq", "signal": digits(pdq(1))}))
    assert match["PLATFORM"][0]["bank_content_id"] == contribution["id"]


def test_the_tat_list_shows_that_a_digest_is_of_a_document(platform: Caller) -> None:
    platform.contribute(item(signals=[f"md5:{5:032x}"], media="document", quality=None))
    (entry,) = body(platform.get("/tat/api/hash-list/v2/all"))["results"]
    assert (entry["algorithm"], entry["file_type"]) == ("MD5", "pdf")
