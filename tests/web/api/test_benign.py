"""/v1/benign: nothing close to a benign entry is accepted or matched."""

from __future__ import annotations

from hashdb.domain.accounts.members import Scope
from hashdb.domain.matching.benign import CLOSE_TO_BENIGN
from tests.builders import near, signal
from tests.web.callers import Caller, Service, body, faults, item, pdq, problem
from tests.web.pictures import METADATA, form, photo

URL = "/v1/benign"


def test_a_benign_entry_is_added_listed_and_deleted(admin: Caller, platform: Caller, other: Caller) -> None:
    (contribution,) = platform.contribute(item(1, signals=[pdq(1), pdq(2)]))
    response = admin.post(URL, {"signals": [pdq(1)], "radius": {"pdq": 9}, "note": "our splash screen"})
    assert response.status_code == 201
    added = body(response)
    assert added == {
        "id": added["id"],
        "signals": [pdq(1)],
        "radius": {"pdq": 9},
        "note": "our splash screen",
        "built_in": None,
        "created_at": "2026-11-20T12:00:00.000000Z",
        "masked": 1,
    }
    assert body(admin.get(URL)) == {"benign": [added], "next": None}
    assert (other.matched(pdq(1)), other.matched(pdq(2))) == ([], [contribution["id"]])
    shown = body(platform.get(f"/v1/contributions/{contribution['id']}"))
    assert (shown["signals"], shown["masked"], shown["status"]) == ([pdq(2)], 1, "active")
    assert admin.delete(f"{URL}/{added['id']}").status_code == 204
    assert other.matched(pdq(1)) == [contribution["id"]]
    problem(admin.delete(f"{URL}/{added['id']}"), 404)


def test_a_signal_close_to_a_benign_entry_is_reported_without_the_hash(
    service: Service, admin: Caller, platform: Caller
) -> None:
    admin.post(URL, {"signals": [pdq(1)]})
    before = service.rows()
    close = str(near(signal(1), 15))
    alone = platform.post("/v1/contributions", {"contributions": [item(2), item(2, signals=[pdq(3), close])]})
    assert faults(alone) == {"contributions[1].signals[1]": CLOSE_TO_BENIGN}
    assert close[4:] not in alone.text
    both = [item(2, signals=[close], labels=["nice"]), item(2, signals=["pdq:00", close], quality=None)]
    rejected = faults(platform.post("/v1/contributions", {"contributions": both}))
    assert set(rejected) == {
        "contributions[0].signals[0]",
        "contributions[0].labels[0]",
        "contributions[1].signals[0]",
        "contributions[1].signals[1]",
        "contributions[1].quality",
    }
    assert rejected["contributions[0].signals[0]"] == rejected["contributions[1].signals[1]"] == CLOSE_TO_BENIGN
    assert service.rows() == before


def test_benign_variants_are_left_out_and_a_benign_picture_is_rejected(admin: Caller, platform: Caller) -> None:
    url = "/v1/contributions/media?profile=balanced"
    (first,) = body(platform.post(url, **form(photo(), metadata=METADATA)))["contributions"]
    own, variants = first["signals"][:3], first["signals"][3:]
    assert len(variants) > 5
    assert admin.post(URL, {"signals": [variants[0]], "radius": {"phash256": 0}}).status_code == 201
    (second,) = body(platform.post(url, **form(photo(), metadata=METADATA)))["contributions"]
    assert (second["known"], second["signals"]) == (False, [*own, *variants[1:]])
    assert admin.post(URL, {"signals": [own[0]], "radius": {"pdq": 0}}).status_code == 201
    assert faults(platform.post(url, **form(photo(), metadata=METADATA))) == {"file[0].signals[0]": CLOSE_TO_BENIGN}


def test_every_fault_of_a_benign_entry_is_reported(admin: Caller) -> None:
    entry = {"signals": ["pdq:00", "dhash:ffffffff00000000"], "radius": {"phash": 3}, "note": 1, "colour": 2}
    assert set(faults(admin.post(URL, entry))) == {"signals[0]", "signals[1]", "radius", "note", "colour"}


def test_the_benign_list_needs_the_scope_admin(service: Service, platform: Caller) -> None:
    for scope in set(Scope) - {Scope.ADMIN}:
        caller = service.caller(scope)
        for method, path in (("GET", URL), ("POST", URL), ("DELETE", f"{URL}/1")):
            problem(caller.request(method, path), 403, "scope-missing")
