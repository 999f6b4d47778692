"""Cells of members' files, and the fields that they become."""

from __future__ import annotations

import json
from datetime import UTC

import pytest

from hashdb.cli.contributions.dates import Dates
from hashdb.cli.contributions.values import Row, Values
from hashdb.domain.signals import Algorithm
from hashdb.hashing.addresses import url_signals
from tests.builders import RULES

HASH = "f8f8f0cee0f4a84f" * 4
BASE64 = "+Pjwzu" + "A" * 37 + "="
VALUES = Values(Dates(UTC), None, RULES.vocabulary)


def row(**cells: object) -> Row:
    return VALUES.row(2, list(cells.items()))


@pytest.mark.parametrize(
    ("name", "value", "signals"),
    [
        ("pdq", f" 0x{HASH.upper()} ", [f"pdq:{HASH}"]),
        ("pdq", " ".join([HASH[:32], HASH[32:]]), [f"pdq:{HASH}"]),
        ("pdq", f"{HASH}; {HASH[::-1]}", [f"pdq:{HASH}", f"pdq:{HASH[::-1]}"]),
        ("md5", "AA:" * 15 + "AA", ["md5:" + "aa" * 16]),
        ("phash", ["F" * 16], ["phash:" + "f" * 16]),
        ("signals", f"pdq:{HASH} PHASH:00FF", [f"pdq:{HASH}", "phash:00ff"]),
        ("signals", f'["pdq:{HASH}", "md5:aa"]', [f"pdq:{HASH}", "md5:aa"]),
        ("signals", {"PDQ": HASH, "HASH_MD5": "AA"}, [f"pdq:{HASH}", "md5:aa"]),
        ("hash", f"HASH_PDQ:{HASH}", [f"pdq:{HASH}"]),
        ("signals", [f"pdq:{HASH}", f"pdq:{HASH}"], [f"pdq:{HASH}"]),
    ],
)
def test_hashes_are_read_in_any_spelling(name: str, value: object, signals: list[str]) -> None:
    assert row(**{name: value}).fields == {"signals": signals}


@pytest.mark.parametrize(
    ("cells", "at", "reason"),
    [
        ({"pdq": BASE64}, "pdq", "this pdq is in base64: write it as 64 hexadecimal digits"),
        ({"phash": "1.23457E+15"}, "phash", "a spreadsheet changed this phash into a number"),
        ({"phash": 1234}, "phash", "must be a text in hexadecimal digits"),
        ({"hash": HASH}, "hash", "has no algorithm: name it in a column `algorithm`, or pass --algorithm"),
        ({"algorithm": "photodna", "hash": "AAAA"}, "algorithm", "`photodna` is not an algorithm of hashdb: pdq, "),
        ({"signals": f"tmk:{HASH}"}, "signals", "`tmk` is not an algorithm of hashdb"),
        ({"algorithm": HASH, "hash": "pdq"}, "algorithm", "`…` is not an algorithm of hashdb"),
        ({"severity": "high"}, "severity", "must be a number from 0 to 4, where 4 is a crisis: words are not accepted"),
        ({"frames": "[["}, "frames", "is not JSON"),
        ({"frames": "[]", "vpdq": f"0,90,{HASH},0.0"}, "vpdq", "the frames are in two columns: leave one out"),
        ({"removed_at": "yesterday"}, "removed_at", "is not a time that import reads"),
        ({"expires_at": True, "notified_at": "3.11.2026"}, "notified_at", "pass --dates day-first"),
    ],
)
def test_an_invalid_cell_is_reported_with_its_column(cells: dict[str, object], at: str, reason: str) -> None:
    result = row(**cells)
    assert result.fields == {}
    (fault,) = result.faults
    assert fault.at == at and reason in fault.reason


@pytest.mark.parametrize(
    ("name", "value", "converted"),
    [
        ("labels", "Graphic Violence", ["graphic_violence"]),
        ("labels", "GLORIFICATION; graphic-violence", ["glorification", "graphic_violence"]),
        ("labels", "glorification manifesto", ["glorification", "manifesto"]),
        ("labels", "{glorification,manifesto}", ["glorification", "manifesto"]),
        ("labels", ["Manifesto", 7], ["manifesto", "7"]),
        ("labels", "manifesto weird", ["manifesto", "weird"]),
        ("labels", "violent extremism", ["violent extremism"]),
        ("context", "Contains victim|synthetic", ["contains_victim", "synthetic"]),
        ("basis", " User Report ", "user_report"),
        ("basis", "court", "court"),
        ("tco_ground", "2.7.A", "2.7.a"),
        ("quality", "97.0", 97),
        ("severity", 3.0, 3),
        ("severity", "3,0", 3),
        ("quality", "x", "x"),
        ("media", "image/jpeg", "image"),
        ("media", "Photo", "image"),
        ("media", "application/pdf", "document"),
        ("media", "text/plain", "text"),
        ("media", "Video frame", "video_frame"),
        ("duration", "2.5", 2.5),
        ("reference", " 007 ", " 007 "),
        ("reference", 7, "7"),
        ("reference", "NULL", "NULL"),
        ("entity", " UN:example ", "UN:example"),
        ("removed_at", "2026-11-03", "2026-11-03T00:00:00.000000Z"),
    ],
)
def test_a_cell_is_converted_to_the_form_of_its_field(name: str, value: object, converted: object) -> None:
    assert row(**{name: value}).fields == {name: converted}


def test_the_columns_hash_and_pdq_are_both_read() -> None:
    signals = [f"pdq:{HASH}", f"pdq:{HASH[::-1]}"]
    assert row(algorithm="PDQ", hash=HASH, pdq=HASH[::-1]) == Row(2, {"signals": signals})
    assert row(algorithm="PDQ", hash="", pdq=HASH) == Row(2, {"signals": signals[:1]})
    assert row(algorithm="video_md5", hash="AA").fields == {"signals": ["md5:aa"], "media": "video"}


ADDRESS = "https://example.org/a,b;c?v=1&w=2"
ADDRESS_SIGNAL = str(url_signals(ADDRESS, for_query=False)[0])


@pytest.mark.parametrize(
    ("cells", "signals"),
    [
        ({"url": ADDRESS}, [ADDRESS_SIGNAL]),
        (
            {"url": f" hxxps://example[.]org/a,b;c?w=2&v=1&utm_source=x  {'A' * 64}"},
            [ADDRESS_SIGNAL, f"url:{'a' * 64}"],
        ),
        ({"url": [ADDRESS]}, [ADDRESS_SIGNAL]),
        ({"url": "A" * 64}, [f"url:{'a' * 64}"]),
        ({"url": f"{'A' * 64};{'b' * 64}"}, [f"url:{'a' * 64}", f"url:{'b' * 64}"]),
        ({"algorithm": "URI", "hash": ADDRESS}, [ADDRESS_SIGNAL]),
    ],
)
def test_addresses_are_hashed_and_hashes_of_addresses_are_accepted(
    cells: dict[str, object], signals: list[str]
) -> None:
    assert row(**cells).fields == {"signals": signals, "media": "document"}
    assert row(**cells, pdq=HASH).fields == {"signals": [*signals, f"pdq:{HASH}"]}


@pytest.mark.parametrize("no_address", ["example.org/secret-page", "ftp://example.org/secret-page", "https://", "x y"])
def test_an_error_does_not_repeat_an_invalid_address(no_address: str) -> None:
    (fault,) = row(url=no_address).faults
    assert fault.at == "url" and "https://example.org/page" in fault.reason and "secret" not in fault.reason


@pytest.mark.parametrize(
    ("frames", "media"),
    [
        ([{"page": 1}, {"words": [0, 200]}], "document"),
        ([{"words": [0, 200]}], "text"),
        ([{"at": 0.0}], "video"),
        ([7], "video"),
        (7, "video"),
    ],
)
def test_the_frames_determine_the_media(frames: object, media: str) -> None:
    assert row(frames=json.dumps(frames)).fields["media"] == media


@pytest.mark.parametrize("empty", ["", " ", "NULL", "null", "NaN", "N/A", "\\N", None])
def test_an_empty_cell_gives_no_field(empty: object) -> None:
    assert row(labels=empty, quality=empty, sha256=empty, removed_at=empty).fields == {}


def test_hashes_without_an_algorithm_get_that_of_the_command_line() -> None:
    values = Values(algorithm=Algorithm.PDQ)
    assert values.row(1, [("hash", HASH)]).fields == {"signals": [f"pdq:{HASH}"]}
    assert values.row(1, [("signals", f"{HASH} md5:aa")]).fields == {"signals": [f"pdq:{HASH}", "md5:aa"]}


def test_a_tier_adds_its_label_and_sets_a_missing_severity() -> None:
    fields = row(pdq=HASH, tier="Tier 1: high specific", labels="manifesto").fields
    assert (fields["labels"], fields["severity"]) == (["manifesto", "imminent_threat"], 4)
    assert row(pdq=HASH, tier="2", labels="perpetrator_produced", severity="1").fields["severity"] == 1
    assert row(pdq=HASH, tier="4").fields["labels"] == ["glorification"]
    assert row(pdq=HASH, tier="").fields == {"signals": [f"pdq:{HASH}"]}
    assert [fault.at for fault in row(pdq=HASH, tier="5").faults] == ["tier"]


def test_an_incident_level_and_name_become_the_label_of_an_incident() -> None:
    assert row(incident_level="Content Incident", incident="Example City").fields["incident"] == "CI:example-city"
    assert row(incident_level="CIP", incident="PCI:example").fields["incident"] == "PCI:example"
    assert [str(fault.at) for fault in row(incident_level="CIP").faults] == ["incident_level"]
    assert row(incident_level="Incident", incident="x").faults[0].reason.startswith("no hashes are exchanged")
