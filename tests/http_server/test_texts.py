"""Addresses and texts from clients of other systems: how they are hashed, and which ones are rejected."""

from __future__ import annotations

import json

import pytest

from hashdb.errors import MalformedRequest, TextRefused
from hashdb.hashing.addresses import url_signals
from hashdb.http_server.texts import hash_pairs, hash_value
from hashdb.wire.sharing import digits_of

ADDRESS = "https://example.org/page?a=1"
TEXT = " ".join(f"word{number}" for number in range(300))


def test_an_address_is_hashed_and_for_queries_also_without_its_parameters() -> None:
    listed = hash_value("url", ADDRESS, for_query=False, accept_text=False)
    queried = hash_value("url", ADDRESS, for_query=True, accept_text=False)
    assert listed == ("url", digits_of(url_signals(ADDRESS, for_query=False)[0]))
    assert queried[1].split(" ") == [digits_of(signal) for signal in url_signals(ADDRESS, for_query=True)]
    assert len(queried[1].split(" ")) == 2


def test_a_digest_of_an_address_is_unchanged() -> None:
    assert hash_value("url", "ab" * 32, for_query=True, accept_text=False) == ("url", "ab" * 32)


def test_an_accepted_text_is_hashed_into_windows() -> None:
    name, value = hash_value("raw_text", TEXT, for_query=False, accept_text=True)
    assert name == "simhash256"
    assert next(window.split(",")[1:] for window in json.loads(value)) == ["0", "150"]
    assert len(json.loads(hash_value("raw_text", TEXT, for_query=True, accept_text=True)[1])) > len(json.loads(value))


def test_the_error_for_a_rejected_text_repeats_no_word_of_it() -> None:
    with pytest.raises(TextRefused) as refused:
        hash_value("raw_text", TEXT, for_query=False, accept_text=False)
    with pytest.raises(MalformedRequest) as short:
        hash_value("raw_text", "word7 only", for_query=True, accept_text=True)
    with pytest.raises(MalformedRequest) as no_address:
        hash_value("url", "ftp://word7.example/", for_query=True, accept_text=True)
    assert not any("word7" in str(error.value) for error in (refused, short, no_address))


def test_pairs_of_addresses_are_compared_by_their_digests() -> None:
    pairs = {"pdq": ("00", "01"), "url": (ADDRESS, "HTTPS://EXAMPLE.ORG/page?a=1#part")}
    compared = hash_pairs(pairs)
    assert compared["pdq"] == pairs["pdq"]
    assert compared["url"][0] == compared["url"][1] != ADDRESS
    assert hash_pairs({"pdq": pairs["pdq"]}) == {"pdq": pairs["pdq"]}
