"""What programs that call HMA really send, as read in their source.

- Coop: roostorg/coop, `server/services/hmaService/index.ts` and `server/routes/items/submitItems.ts` of August 2026. It
  sends no key, names its banks `COOP_{organisation}_{name}`, writes `enabled_ratio` as a string, hashes each picture by
  its address, then looks each hash up and reads its own banks in the answer alone.
- FetLife's gem `hasher_matcher_actioner_api` 0.4: `lib/hasher_matcher_actioner_api/*.rb`. Its addresses begin at the
  root of the host; Faraday sends the user and the password of the base address as Basic credentials.
- Osprey (roostorg/osprey) of July 2026 sends HMA nothing.
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
"""What Coop's `HMA_SERVICE_URL` ends with: it serves one bank, of the name that Coop gives to its bank."""


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """On SQLite alone: what a request may look like does not depend on the database."""
    with service_at(f"sqlite:///{tmp_path}/hashdb.sqlite", interop_label="glorification") as made:
        yield made


def test_coop_makes_its_bank_and_finds_in_it_what_others_contributed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/hashdb.sqlite"
    with service_at(url) as first:
        lent = first.caller(Scope.MATCH, Scope.CONTRIBUTE, name="Coop")
    with service_at(url, hma_key=lent.secret, interop_label="glorification") as service:
        (one,) = service.caller(name="Other").contribute(item(1))
        coop = service.anonymous
        kind = {"Content-Type": "application/json"}

        # createBank, then listBanks before every item: it deletes its own copy of a bank that is answered 404.
        made = coop.post(f"{COOP}/c/banks", {"name": BANK, "enabled_ratio": "1"})
        assert (made.status_code, body(made)) == (201, {"name": BANK, "matching_enabled_ratio": 1.0})
        assert body(coop.get(f"{COOP}/c/bank/{BANK}", headers=kind)) == {"name": BANK, "matching_enabled_ratio": 1.0}
        assert body(coop.get(f"{COOP}/c/banks")) == [{"name": BANK, "matching_enabled_ratio": 1.0}]

        # submitItems: hashContentFromUrl, then lookupContent for each hash.
        picture = f"{COOP}/h/hash?url={quote('https://cdn.example/a.jpg', safe='')}"
        assert "does not fetch" in message(coop.get(picture), 403)
        found = body(coop.get(f"{COOP}/m/lookup?{urlencode({'signal_type': 'pdq', 'signal': digits(pdq(1))})}"))
        assert found == {BANK: [{"bank_content_id": one["id"], "distance": "0"}]}
        by_file = body(coop.post(f"{COOP}/m/lookup", **upload(photo())))
        assert by_file == {"pdq": {}, "phash256": {}, "phash": {}}

        # What its settings ask about exchanges.
        assert body(coop.get(f"{COOP}/c/exchanges/apis")) == []
        assert coop.get(f"{COOP}/c/exchange/{BANK}").status_code == 404

        # What hashdb does not do for it is refused, and changes nothing.
        for refused in (
            coop.request("PUT", f"{COOP}/c/bank/{BANK}", json={"enabled_ratio": 0.5}),
            coop.delete(f"{COOP}/c/bank/{BANK}"),
            coop.post(f"{COOP}/c/banks", {"name": f"{ORGANISATION}ANOTHER", "enabled_ratio": "1"}),
            coop.get(f"{COOP}/c/bank/OTHER"),
            coop.post(f"{COOP}/c/exchanges", {"bank": BANK, "api": "ncmec", "api_json": {}}),
        ):
            assert refused.status_code in (403, 404, 405), refused.text
        assert coop.get(f"/hma/c/bank/{BANK}").status_code == 404


def test_coop_adds_content_with_its_own_id_beside_metadata_of_any_shape(service: Service, platform: Caller) -> None:
    parts = [('name="photo"; filename="blob"', photo()), ('name="content_id"', b"item-7")]
    parts += [('name="content_uri"', b"https://coop.example/7"), ('name="metadata"', b'{"queue": {"id": 3}}')]
    added = body(platform.post(f"{COOP}/c/bank/{BANK}/content", **multipart("5d0a", *parts)))
    shown = body(platform.get(f"{COOP}/c/bank/{BANK}/content/{added['id']}"))
    assert (shown["bank"]["name"], shown["metadata"]["content_id"]) == (BANK, "item-7")
    assert body(platform.get(f"/v1/contributions/{added['id']}"))["member"]["name"] == "Platform"
    other = service.caller(name="Other")
    message(other.delete(f"{COOP}/c/bank/{BANK}/content/{added['id']}"), 403)
    assert body(platform.delete(f"{COOP}/c/bank/{BANK}/content/{added['id']}")) == {"deleted": 1}
    # By address, everything is in the query and there is no body.
    asked = {"url": "https://cdn.example/a.jpg", "content_id": "8", "content_uri": "u", "metadata": '{"a": 1}'}
    assert "does not fetch" in message(
        platform.request("POST", f"{COOP}/c/bank/{BANK}/content?{urlencode(asked)}"), 403
    )


def test_the_empty_hash_of_a_picture_that_pdq_does_not_fit_does_not_end_coops_other_lookups(platform: Caller) -> None:
    hashes = body(platform.post(f"{COOP}/h/hash", **upload(flat())))
    assert hashes["pdq"] == ""
    for name, value in hashes.items():
        # As lookupContent: what is empty is left out.
        asked = {"signal_type": name} | ({"signal": value} if value else {})
        assert body(platform.get(f"{COOP}/m/lookup", query_string=asked)) == {}


def basic(secret: str | None) -> dict[str, str]:
    return {"Authorization": f"Basic {b64encode(f'fetlife:{secret}'.encode()).decode()}"}


def test_the_gem_sends_its_key_as_the_password_of_its_address(
    service: Service, platform: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    gem, key = service.anonymous, basic(platform.secret)
    (one,) = service.caller(name="Other").contribute(item(1))
    asked = {"signal": digits(pdq(1)), "signal_type": "pdq"}
    hit = {"bank_content_id": one["id"], "distance": "0"}
    assert body(gem.get("/hma/m/lookup", query_string=asked, headers=key)) == {"OTHER": [hit]}
    raw = {**asked, "include_distance": "false"}
    assert body(gem.get("/hma/m/raw_lookup", query_string=raw, headers=key)) == {"matches": [one["id"]]}
    raw = {**asked, "include_distance": "true"}
    assert body(gem.get("/hma/m/raw_lookup", query_string=raw, headers=key)) == {"matches": [hit]}
    for wrong in (basic("hdb_wrong"), basic(""), {"Authorization": "Basic ?"}):
        message(gem.get("/hma/m/lookup", query_string=asked, headers=wrong), 401)
    assert gem.get("/v1/me", headers=key).status_code == 401

    made = {"name": "PLATFORM", "enabled": "true", "matching_enabled_ratio": 1.0}
    message(gem.post("/hma/c/banks", made, headers=key), 403)
    metadata = json.dumps({"content_id": "9", "json": {}})
    added = gem.post("/hma/c/bank/PLATFORM/content", **upload(photo(), metadata=metadata), headers=key)
    shown = body(platform.get(f"/v1/contributions/{body(added)['id']}"))
    assert shown["reference"] == "9"
    # It could not ask for a job: it waits for the answer.
    monkeypatch.setattr(deferring, "PATIENCE", 0.0)
    assert "vpdq" in body(gem.post("/hma/h/hash", **upload(film(), name="video"), headers=key))


@pytest.mark.parametrize("bank", ["coop", "A-B", "A" * 101, ""])
def test_a_name_that_no_bank_can_have_is_no_address(platform: Caller, bank: str) -> None:
    message(platform.get(f"/hma/as/{bank}/c/banks"), 404)
