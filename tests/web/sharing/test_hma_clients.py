"""Requests that existing clients of HMA send, as read in their source.

- Coop: roostorg/coop, `server/services/hmaService/index.ts` and `server/routes/items/submitItems.ts` of August 2026. It
  sends no key, names its banks `COOP_{organisation}_{name}`, and writes `enabled_ratio` as a string. It hashes each
  picture by its address, then looks up each hash, and reads only its own banks in the answer.
- FetLife's gem `hasher_matcher_actioner_api` 0.4: `lib/hasher_matcher_actioner_api/*.rb`. Its addresses begin at the
  root of the host. Faraday sends the user and the password of the base address as Basic credentials.
- Osprey (roostorg/osprey) of July 2026 sends no request to HMA.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from hashdb.domain.accounts.members import Scope
from hashdb.web import deferring
from tests.films import film
from tests.web.callers import Caller, Service, body, item, pdq, service_at
from tests.web.pictures import flat, multipart, photo
from tests.web.sharing.served import digits
from tests.web.sharing.test_hma import message, upload

ORGANISATION = "COOP_ABCDEF12345_"
BANK = f"{ORGANISATION}SHARED_LIST"
COOP = f"/hma/as/{BANK}"
"""The end of Coop's `HMA_SERVICE_URL`. It serves one bank, with the name that Coop gives to its bank."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """A service on SQLite only: the form of requests does not depend on the database."""
    with service_at(f"sqlite:///{tmp_path}/hashdb.sqlite", interop_label="glorification") as service:
        yield service


def test_coop_creates_its_bank_and_finds_contributions_of_others_in_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hashdb.sqlite"
    with service_at(url) as first:
        lent_key = first.caller(Scope.MATCH, Scope.CONTRIBUTE, name="Coop")
    with service_at(url, hma_key=lent_key.secret, interop_label="glorification") as service:
        (contribution,) = service.caller(name="Other").contribute(item(1))
        coop = service.anonymous
        headers = {"Content-Type": "application/json"}

        # createBank, then listBanks before every item: Coop deletes its copy of a bank if the answer is 404.
        created = coop.post(f"{COOP}/c/banks", {"name": BANK, "enabled_ratio": "1"})
        assert (created.status_code, body(created)) == (201, {"name": BANK, "matching_enabled_ratio": 1.0})
        assert body(coop.get(f"{COOP}/c/bank/{BANK}", headers=headers)) == {"name": BANK, "matching_enabled_ratio": 1.0}
        assert body(coop.get(f"{COOP}/c/banks")) == [{"name": BANK, "matching_enabled_ratio": 1.0}]

        # submitItems: hashContentFromUrl, then lookupContent for each hash.
        picture = f"{COOP}/h/hash?url={quote('https://cdn.example/a.jpg', safe='')}"
        assert "does not fetch" in message(coop.get(picture), 403)
        matches = body(coop.get(f"{COOP}/m/lookup?{urlencode({'signal_type': 'pdq', 'signal': digits(pdq(1))})}"))
        assert matches == {BANK: [{"bank_content_id": contribution["id"], "distance": "0"}]}
        file_matches = body(coop.post(f"{COOP}/m/lookup", **upload(photo())))
        assert file_matches == {"pdq": {}, "phash256": {}, "phash": {}}

        # The requests of its settings about exchanges.
        assert body(coop.get(f"{COOP}/c/exchanges/apis")) == []
        assert coop.get(f"{COOP}/c/exchange/{BANK}").status_code == 404

        # Requests that hashdb does not support are rejected and change nothing.
        for refused in (
            coop.request("PUT", f"{COOP}/c/bank/{BANK}", json={"enabled_ratio": 0.5}),
            coop.delete(f"{COOP}/c/bank/{BANK}"),
            coop.post(f"{COOP}/c/banks", {"name": f"{ORGANISATION}ANOTHER", "enabled_ratio": "1"}),
            coop.get(f"{COOP}/c/bank/OTHER"),
            coop.post(f"{COOP}/c/exchanges", {"bank": BANK, "api": "ncmec", "api_json": {}}),
        ):
            assert refused.status_code in (403, 404, 405), refused.text
        assert coop.get(f"/hma/c/bank/{BANK}").status_code == 404


def test_coop_adds_content_with_its_own_id_and_any_metadata(service: Service, platform: Caller) -> None:
    parts = [('name="photo"; filename="blob"', photo()), ('name="content_id"', b"item-7")]
    parts += [('name="content_uri"', b"https://coop.example/7"), ('name="metadata"', b'{"queue": {"id": 3}}')]
    added = body(platform.post(f"{COOP}/c/bank/{BANK}/content", **multipart("5d0a", *parts)))
    shown = body(platform.get(f"{COOP}/c/bank/{BANK}/content/{added['id']}"))
    assert (shown["bank"]["name"], shown["metadata"]["content_id"]) == (BANK, "item-7")
    assert body(platform.get(f"/v1/contributions/{added['id']}"))["member"]["name"] == "Platform"
    other = service.caller(name="Other")
    message(other.delete(f"{COOP}/c/bank/{BANK}/content/{added['id']}"), 403)
    assert body(platform.delete(f"{COOP}/c/bank/{BANK}/content/{added['id']}")) == {"deleted": 1}
    # With an address, all fields are in the query and there is no body.
    query = {"url": "https://cdn.example/a.jpg", "content_id": "8", "content_uri": "u", "metadata": '{"a": 1}'}
    assert "does not fetch" in message(
        platform.request("POST", f"{COOP}/c/bank/{BANK}/content?{urlencode(query)}"), 403
    )


def test_an_empty_hash_of_a_flat_picture_is_no_error_for_coop(platform: Caller) -> None:
    hashes = body(platform.post(f"{COOP}/h/hash", **upload(flat())))
    assert hashes["pdq"] == ""
    for name, value in hashes.items():
        # As lookupContent does: it leaves out an empty value.
        query = {"signal_type": name} | ({"signal": value} if value else {})
        assert body(platform.get(f"{COOP}/m/lookup", query_string=query)) == {}


def basic_credentials(secret: str | None) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'fetlife:{secret}'.encode()).decode()}"}


def test_the_gem_sends_its_key_as_a_basic_password(
    service: Service, platform: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    gem, key = service.anonymous, basic_credentials(platform.secret)
    (contribution,) = service.caller(name="Other").contribute(item(1))
    query = {"signal": digits(pdq(1)), "signal_type": "pdq"}
    hit = {"bank_content_id": contribution["id"], "distance": "0"}
    assert body(gem.get("/hma/m/lookup", query_string=query, headers=key)) == {"OTHER": [hit]}
    raw_query = {**query, "include_distance": "false"}
    assert body(gem.get("/hma/m/raw_lookup", query_string=raw_query, headers=key)) == {"matches": [contribution["id"]]}
    raw_query = {**query, "include_distance": "true"}
    assert body(gem.get("/hma/m/raw_lookup", query_string=raw_query, headers=key)) == {"matches": [hit]}
    for credentials in (basic_credentials("hdb_wrong"), basic_credentials(""), {"Authorization": "Basic ?"}):
        message(gem.get("/hma/m/lookup", query_string=query, headers=credentials), 401)
    assert gem.get("/v1/me", headers=key).status_code == 401

    bank = {"name": "PLATFORM", "enabled": "true", "matching_enabled_ratio": 1.0}
    message(gem.post("/hma/c/banks", bank, headers=key), 403)
    metadata = json.dumps({"content_id": "9", "json": {}})
    added = gem.post("/hma/c/bank/PLATFORM/content", **upload(photo(), metadata=metadata), headers=key)
    shown = body(platform.get(f"/v1/contributions/{body(added)['id']}"))
    assert shown["reference"] == "9"
    # The gem cannot poll a job, so it waits for the answer.
    monkeypatch.setattr(deferring, "SECONDS_TO_JOB", 0.0)
    assert "vpdq" in body(gem.post("/hma/h/hash", **upload(film(), name="video"), headers=key))


@pytest.mark.parametrize("bank", ["coop", "A-B", "A" * 101, ""])
def test_an_invalid_bank_name_in_the_address_is_not_found(platform: Caller, bank: str) -> None:
    message(platform.get(f"/hma/as/{bank}/c/banks"), 404)
