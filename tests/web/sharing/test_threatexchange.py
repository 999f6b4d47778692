"""ThreatExchange's Graph API, spoken by the unmodified `threatexchange` package."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hashdb.domain.accounts.members import Scope
from hashdb.service.contributions import contributions
from hashdb.service.sharing import feed
from tests.web.api.test_videos import video
from tests.web.callers import Caller, Service, body, faults, item, pdq, problem, service_at
from tests.web.sharing.served import digits

pytest.importorskip("threatexchange")

from threatexchange.exchanges.clients.fb_threatexchange.api import ThreatExchangeAPI, is_valid_app_token
from threatexchange.exchanges.impl.fb_threatexchange_api import (
    FBThreatExchangeCollabConfig,
    FBThreatExchangeSignalExchangeAPI,
)
from threatexchange.exchanges.impl.fb_threatexchange_signal import HasFbThreatExchangeIndicatorType
from threatexchange.signal_type.md5 import VideoMD5Signal
from threatexchange.signal_type.pdq.signal import PdqSignal
from threatexchange.signal_type.raw_text import RawTextSignal
from threatexchange.signal_type.sha256 import VideoSHA256Signal

UPDATES = "/graph/1/threat_updates/"


def token_of(caller: Caller) -> str:
    return f"{caller.member:08}|{caller.secret}"


def client_of(url: str, caller: Caller) -> Any:
    token = token_of(caller)
    assert is_valid_app_token(token)
    return ThreatExchangeAPI(token, endpoint_override=f"{url}/graph")


class VPDQSignal(RawTextSignal, HasFbThreatExchangeIndicatorType):
    """What an operator adds to the client: the reference's own type names no indicator."""

    INDICATOR_TYPE = "HASH_VIDEO_VPDQ"


class Reader:
    """A copy kept by the exchange of `threatexchange`, fetch by fetch."""

    def __init__(self, url: str, caller: Caller) -> None:
        config = FBThreatExchangeCollabConfig(name="hashdb", privacy_group=1)
        self.exchange: Any = FBThreatExchangeSignalExchangeAPI(client_of(url, caller), config)
        self.config = config
        self.checkpoint: Any = None
        self.held: dict[Any, Any] = {}
        self.got = 0

    def fetch(self, pages: int = 1000, kind: Any = PdqSignal) -> dict[str, list[str]]:
        """The opinions on each value of a type that it holds, when it has fetched what is new (of so many pages)."""
        self.got = 0
        for delta, _ in zip(self.exchange.fetch_iter([PdqSignal], self.checkpoint), range(pages), strict=False):
            self.exchange.naive_fetch_merge(self.held, delta.updates)
            before = self.checkpoint.update_time if self.checkpoint else 0
            assert delta.checkpoint.update_time >= before, "checkpoint time rewound?"
            self.checkpoint = delta.checkpoint
            self.got += len(delta.updates)
        converted = self.exchange.naive_convert_to_signal_type([kind], self.config, self.held).get(kind, {})
        return {
            value: sorted(f"{said.owner_app_id}:{said.category.name}:{','.join(said.tags)}" for said in one.opinions)
            for value, one in converted.items()
        }


@pytest.fixture
def reader(url: str, other: Caller) -> Reader:
    return Reader(url, other)


def test_a_reader_fetches_all_then_what_is_new_and_drops_what_is_gone(
    service: Service, platform: Caller, reader: Reader, url: str, other: Caller
) -> None:
    assert (reader.fetch(), reader.got) == ({}, 1)
    one, two, _ = platform.contribute(item(1), item(2, signals=[pdq(2), "phash:d1c4b2a09f8e7d6c"]), item(3))
    service.clock.go(seconds=1)
    said = [f"{platform.member}:POSITIVE_CLASS:glorification"]
    assert reader.fetch() == {digits(pdq(seed)): said for seed in (1, 2, 3)}
    service.clock.go(seconds=1)
    assert (len(reader.fetch()), reader.got) == (3, 1)
    platform.post(f"/v1/contributions/{one['id']}/withdrawal", {"reason": "other"})
    platform.delete(f"/v1/contributions/{two['id']}/content")
    service.clock.go(days=84)
    assert set(reader.fetch()) == {digits(pdq(3))}
    assert set(Reader(url, other).fetch()) == {digits(pdq(3))}


def test_a_withdrawn_value_is_told_to_nobody_who_did_not_have_it(
    service: Service, platform: Caller, other: Caller
) -> None:
    (one,) = platform.contribute(item(1))
    platform.post(f"/v1/contributions/{one['id']}/withdrawal", {"reason": "other"})
    service.clock.go(seconds=1)
    answer = service.anonymous.get(UPDATES, query_string={"access_token": token_of(other)})
    assert [update["id"] for update in body(answer)["data"]] == ["0"]
    assert digits(pdq(1)) not in answer.text


def test_quarantined_and_expired_and_suspended_is_gone_and_what_comes_back_is_there_again(
    service: Service, platform: Caller, reader: Reader, admin: Caller
) -> None:
    one, _ = platform.contribute(item(1), item(2, expires_at="2026-11-20T12:00:05Z"))
    service.clock.go(seconds=1)
    assert len(reader.fetch()) == 2
    other = service.caller()
    other.post(f"/v1/contributions/{one['id']}/opinions", {"opinion": "disputes", "reason": "other"})
    admin.post("/v1/cases/1/decision", {"decision": "quarantine"})
    service.clock.go(seconds=10)
    contributions.emit_pending(service.db)
    service.clock.go(seconds=1)
    assert reader.fetch() == {}
    other.post(f"/v1/contributions/{one['id']}/opinions", {"opinion": "confirms"})
    admin.post("/v1/cases/2/decision", {"decision": "uphold"})
    service.clock.go(seconds=1)
    assert set(reader.fetch()) == {digits(pdq(1))}


def test_opinions_are_reactions_of_their_members(service: Service, platform: Caller, other: Caller, url: str) -> None:
    (one,) = platform.contribute(item(1))
    third = service.caller()
    other.post(f"/v1/contributions/{one['id']}/opinions", {"opinion": "confirms"})
    third.post(f"/v1/contributions/{one['id']}/opinions", {"opinion": "disputes", "reason": "other"})
    service.clock.go(seconds=1)
    reader = Reader(url, other)
    assert reader.fetch()[digits(pdq(1))] == [
        f"{platform.member}:POSITIVE_CLASS:glorification",
        f"{other.member}:POSITIVE_CLASS:",
        f"{third.member}:NEGATIVE_CLASS:",
    ]
    ((_, held),) = reader.held.items()
    assert {said.is_mine for said in held.opinions if said.owner_app_id == other.member} == {True}


def test_many_pages_lead_on_and_a_reader_may_stop_at_any(
    service: Service, platform: Caller, other: Caller, url: str
) -> None:
    for start in range(0, 250, 50):
        platform.contribute(*[item(seed) for seed in range(start, start + 50)])
        service.clock.go(seconds=1)
    wanted = {digits(pdq(seed)) for seed in range(250)}
    assert set(Reader(url, other).fetch()) == wanted
    halting = Reader(url, other)
    for _ in range(10):
        halting.fetch(pages=1)
    assert set(halting.fetch()) == wanted


def test_reactions_become_opinions(service: Service, platform: Caller, other: Caller, url: str) -> None:
    one, two, three = platform.contribute(item(1), item(2), item(3))
    client = client_of(url, other)
    for done in (
        client.react_upvote_threat_descriptor(one["id"]),
        client.react_downvote_threat_descriptor(two["id"]),
        client.react_matched_threat_descriptor(three["id"]),
    ):
        assert done[2]["success"] is True
    said = [body(platform.get(f"/v1/contributions/{each['id']}/opinions"))["opinions"] for each in (one, two, three)]
    assert [[(opinion["opinion"], opinion["reason"]) for opinion in each] for each in said] == [
        [("confirms", None)],
        [("disputes", "other")],
        [],
    ]
    assert client_of(url, platform).react_upvote_threat_descriptor(one["id"])[2]["status"] == 403
    assert client.remove_reaction_from_threat_descriptor(one["id"], "HELPFUL")[2]["status"] == 422


def descriptor(indicator: str, kind: str) -> dict[str, str]:
    """What the client sends."""
    return {
        "indicator": indicator,
        "type": kind,
        "description": "x",
        "share_level": "AMBER",
        "status": "MALICIOUS",
        "privacy_type": "HAS_PRIVACY_GROUP",
        "privacy_members": "1",
        "tags": "anything",
    }


def test_a_descriptor_is_a_contribution_and_can_be_deleted(service: Service, platform: Caller, url: str) -> None:
    client = client_of(url, platform)
    done = client.upload_threat_descriptor(descriptor(digits(pdq(1)), "HASH_PDQ"), False, False)[2]
    assert done["success"] is True
    shown = body(platform.get(f"/v1/contributions/{done['id']}"))
    assert (shown["signals"], shown["labels"], shown["removed_at"]) == ([pdq(1)], ["glorification"], None)
    assert client.delete_threat_descriptor(done["id"], False, False)[2] == {"success": True}
    assert platform.matched(pdq(1)) == []
    for kind, indicator, at in (("HASH_TMK", digits(pdq(1)), "type"), ("HASH_MD5", "1", "indicator")):
        wrong = client.upload_threat_descriptor(descriptor(indicator, kind), False, False)[2]
        assert {fault["at"] for fault in wrong["errors"]} == {at}


def test_videos_are_exchanged_as_vpdq_and_digests_and_deleted(
    service: Service, platform: Caller, other: Caller, reader: Reader, admin: Caller
) -> None:
    md5, sha256 = f"{5:032x}", f"{7:064x}"
    mine, theirs = video(1, 2, 3, signals=[f"md5:{md5}", f"sha256:{sha256}"]), video(1, 2, 3)
    (one,), (two,) = platform.contribute(mine), service.caller(name="Third").contribute(theirs)
    other.post(f"/v1/contributions/{one['id']}/opinions", {"opinion": "disputes", "reason": "other"})
    service.clock.go(seconds=1)
    assert reader.fetch() == {}, "frames of videos are no pictures"
    disputed = [f"{platform.member}:POSITIVE_CLASS:glorification", f"{other.member}:NEGATIVE_CLASS:"]
    assert reader.fetch(kind=VideoMD5Signal) == {md5: disputed}
    assert reader.fetch(kind=VideoSHA256Signal) == {sha256: disputed}
    ((text, opinions),) = reader.fetch(kind=VPDQSignal).items()
    assert json.loads(text) == [f"{digits(pdq(seed))},90,{seed - 1}.000" for seed in (1, 2, 3)]
    assert len(opinions) == 3

    # A value that is suppressed later stays in the text, by which the reader knows the video.
    admin.post("/v1/benign", {"entries": [{"signals": [pdq(2)], "note": "x"}]})
    platform.post(f"/v1/contributions/{one['id']}/withdrawal", {"reason": "other"})
    service.clock.go(seconds=1)
    assert set(reader.fetch(kind=VPDQSignal)) == {text}, "another member still contributes it"
    assert reader.fetch(kind=VideoMD5Signal) == {}
    service.caller(name="Fourth").post(f"/v1/contributions/{two['id']}/opinions", {"opinion": "confirms"})
    admin.delete(f"/v1/contributions/{two['id']}/content")
    service.clock.go(seconds=1)
    assert reader.fetch(kind=VPDQSignal) == {}
    assert (reader.checkpoint.update_time > 0, reader.held) == (True, {})


def test_videos_with_many_frames_are_on_pages_of_their_own(
    service: Service, platform: Caller, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "FRAMES_A_REQUEST", 10)
    platform.contribute(*(video(*range(start, start + 4)) for start in range(0, 20, 4)))
    service.clock.go(seconds=1)
    # The last update of a fetch has no value.
    assert [len(delta.updates) for delta in reader.exchange.fetch_iter([VPDQSignal], None)] == [2, 2, 2]
    assert len(reader.fetch(kind=VPDQSignal)) == 5


@pytest.mark.parametrize("kind", ["HASH_MD5", "HASH_VIDEO_MD5", "HASH_SHA256", "HASH_VIDEO_SHA256", "HASH_VIDEO_VPDQ"])
def test_digests_and_vpdq_are_contributed(platform: Caller, url: str, kind: str) -> None:
    vpdq = json.dumps([f"{digits(pdq(seed))},90,{seed}.0" for seed in range(3)])
    value = vpdq if kind.endswith("VPDQ") else f"{5:032x}" if kind.endswith("MD5") else f"{5:064x}"
    done = client_of(url, platform).upload_threat_descriptor(descriptor(value, kind), False, False)[2]
    shown = body(platform.get(f"/v1/contributions/{done['id']}"))
    assert shown["media"] == ("video" if "_VIDEO_" in kind else "image")
    assert (len(shown["signals"]), shown.get("frame_count", 0)) == ((0, 3) if kind.endswith("VPDQ") else (1, 0))


def test_the_database_is_the_one_privacy_group(platform: Caller, url: str) -> None:
    client = client_of(url, platform)
    (group,) = client.get_threat_privacy_groups_member()
    assert (group.name, group.threat_updates_enabled) == ("hashdb", True)
    assert client.get_privacy_group(int(group.id)).name == "hashdb"
    assert client.get_threat_privacy_groups_owner() == []


@pytest.mark.parametrize("token", ["", "x", "1|", "|{secret}", "00000099|{secret}", "x|{secret}", "{secret}"])
def test_a_token_that_is_not_a_members_is_refused(service: Service, platform: Caller, token: str) -> None:
    said = {"access_token": token.format(secret=platform.secret)}
    problem(service.anonymous.get(UPDATES, query_string=said), 401)
    problem(service.anonymous.post("/graph/1/", data=said), 401)


def test_a_scope_that_lacks_is_named(service: Service) -> None:
    matcher = service.caller(Scope.MATCH)
    problem(service.anonymous.get(UPDATES, query_string={"access_token": token_of(matcher)}), 403, "scope-missing")


@pytest.mark.parametrize("wrong", ["start_time=x", "stop_time=-1", "limit=0", "after=1", "after=a-b"])
def test_a_wrong_query_is_told(service: Service, platform: Caller, wrong: str) -> None:
    said = {"access_token": token_of(platform), **dict([wrong.split("=")])}
    assert set(faults(service.anonymous.get(UPDATES, query_string=said))) == {wrong.partition("=")[0]}


def test_other_types_and_a_time_before_have_only_the_last_update(service: Service, platform: Caller) -> None:
    platform.contribute(item(1))
    service.clock.go(seconds=5)
    for said in ({"types": "HASH_MD5"}, {"stop_time": int(service.clock().timestamp()) - 60}):
        answer = service.anonymous.get(UPDATES, query_string={"access_token": token_of(platform), **said})
        assert [update["id"] for update in body(answer)["data"]] == ["0"]


def test_the_next_page_is_at_the_public_address(tmp_path: Any) -> None:
    with service_at(f"sqlite:///{tmp_path}/hashdb.sqlite", public_url="https://hashes.example/") as service:
        platform = service.caller()
        platform.contribute(item(1), item(2))
        service.clock.go(seconds=1)
        answer = body(service.anonymous.get(UPDATES, query_string={"access_token": token_of(platform), "limit": 1}))
        assert answer["paging"]["next"].startswith("https://hashes.example/graph/1/threat_updates/?access_token=0")
