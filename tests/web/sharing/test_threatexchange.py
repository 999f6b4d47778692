"""The Graph API of ThreatExchange, with the unmodified `threatexchange` package as the client."""

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


def token_for(caller: Caller) -> str:
    return f"{caller.member:08}|{caller.secret}"


def client_for(url: str, caller: Caller) -> Any:
    token = token_for(caller)
    assert is_valid_app_token(token)
    return ThreatExchangeAPI(token, endpoint_override=f"{url}/graph")


class VPDQSignal(RawTextSignal, HasFbThreatExchangeIndicatorType):
    """The type that an operator adds to the client, because the client's own type has no indicator."""

    INDICATOR_TYPE = "HASH_VIDEO_VPDQ"


class Reader:
    """A copy of the list that the exchange of `threatexchange` keeps and updates with each fetch."""

    def __init__(self, url: str, caller: Caller) -> None:
        config = FBThreatExchangeCollabConfig(name="hashdb", privacy_group=1)
        self.exchange: Any = FBThreatExchangeSignalExchangeAPI(client_for(url, caller), config)
        self.config = config
        self.checkpoint: Any = None
        self.records: dict[Any, Any] = {}
        self.update_count = 0

    def fetch(self, pages: int = 1000, kind: Any = PdqSignal) -> dict[str, list[str]]:
        """Fetch updates, at most this number of pages, and return the opinions on each value of a type in the copy."""
        self.update_count = 0
        for delta, _ in zip(self.exchange.fetch_iter([PdqSignal], self.checkpoint), range(pages), strict=False):
            self.exchange.naive_fetch_merge(self.records, delta.updates)
            before = self.checkpoint.update_time if self.checkpoint else 0
            assert delta.checkpoint.update_time >= before, "checkpoint time rewound?"
            self.checkpoint = delta.checkpoint
            self.update_count += len(delta.updates)
        converted = self.exchange.naive_convert_to_signal_type([kind], self.config, self.records).get(kind, {})
        return {
            value: sorted(
                f"{opinion.owner_app_id}:{opinion.category.name}:{','.join(opinion.tags)}"
                for opinion in record.opinions
            )
            for value, record in converted.items()
        }


@pytest.fixture
def reader(url: str, other: Caller) -> Reader:
    return Reader(url, other)


def test_a_reader_fetches_everything_then_updates_and_deletions(
    service: Service, platform: Caller, reader: Reader, url: str, other: Caller
) -> None:
    assert (reader.fetch(), reader.update_count) == ({}, 1)
    first, second, _ = platform.contribute(item(1), item(2, signals=[pdq(2), "phash:d1c4b2a09f8e7d6c"]), item(3))
    service.clock.advance(seconds=1)
    opinions = [f"{platform.member}:POSITIVE_CLASS:glorification"]
    assert reader.fetch() == {digits(pdq(seed)): opinions for seed in (1, 2, 3)}
    service.clock.advance(seconds=1)
    assert (len(reader.fetch()), reader.update_count) == (3, 1)
    platform.post(f"/v1/contributions/{first['id']}/withdrawal", {"reason": "other"})
    platform.delete(f"/v1/contributions/{second['id']}/content")
    service.clock.advance(days=84)
    assert set(reader.fetch()) == {digits(pdq(3))}
    assert set(Reader(url, other).fetch()) == {digits(pdq(3))}


def test_a_new_reader_does_not_get_withdrawn_values(service: Service, platform: Caller, other: Caller) -> None:
    (contribution,) = platform.contribute(item(1))
    platform.post(f"/v1/contributions/{contribution['id']}/withdrawal", {"reason": "other"})
    service.clock.advance(seconds=1)
    answer = service.anonymous.get(UPDATES, query_string={"access_token": token_for(other)})
    assert [update["id"] for update in body(answer)["data"]] == ["0"]
    assert digits(pdq(1)) not in answer.text


def test_quarantined_and_expired_values_are_deleted_and_upheld_ones_return(
    service: Service, platform: Caller, reader: Reader, admin: Caller
) -> None:
    contribution, _ = platform.contribute(item(1), item(2, expires_at="2026-11-20T12:00:05Z"))
    service.clock.advance(seconds=1)
    assert len(reader.fetch()) == 2
    other = service.caller()
    other.post(f"/v1/contributions/{contribution['id']}/opinions", {"opinion": "disputes", "reason": "other"})
    admin.post("/v1/cases/1/decision", {"decision": "quarantine"})
    service.clock.advance(seconds=10)
    contributions.emit_pending(service.db)
    service.clock.advance(seconds=1)
    assert reader.fetch() == {}
    other.post(f"/v1/contributions/{contribution['id']}/opinions", {"opinion": "confirms"})
    admin.post("/v1/cases/2/decision", {"decision": "uphold"})
    service.clock.advance(seconds=1)
    assert set(reader.fetch()) == {digits(pdq(1))}


def test_opinions_are_shown_with_their_members(service: Service, platform: Caller, other: Caller, url: str) -> None:
    (contribution,) = platform.contribute(item(1))
    third = service.caller()
    other.post(f"/v1/contributions/{contribution['id']}/opinions", {"opinion": "confirms"})
    third.post(f"/v1/contributions/{contribution['id']}/opinions", {"opinion": "disputes", "reason": "other"})
    service.clock.advance(seconds=1)
    reader = Reader(url, other)
    assert reader.fetch()[digits(pdq(1))] == [
        f"{platform.member}:POSITIVE_CLASS:glorification",
        f"{other.member}:POSITIVE_CLASS:",
        f"{third.member}:NEGATIVE_CLASS:",
    ]
    ((_, record),) = reader.records.items()
    assert {opinion.is_mine for opinion in record.opinions if opinion.owner_app_id == other.member} == {True}


def test_a_reader_can_stop_at_any_page(service: Service, platform: Caller, other: Caller, url: str) -> None:
    for start in range(0, 250, 50):
        platform.contribute(*[item(seed) for seed in range(start, start + 50)])
        service.clock.advance(seconds=1)
    expected = {digits(pdq(seed)) for seed in range(250)}
    assert set(Reader(url, other).fetch()) == expected
    interrupted = Reader(url, other)
    for _ in range(10):
        interrupted.fetch(pages=1)
    assert set(interrupted.fetch()) == expected


def test_reactions_are_stored_as_opinions(service: Service, platform: Caller, other: Caller, url: str) -> None:
    first, second, third = platform.contribute(item(1), item(2), item(3))
    client = client_for(url, other)
    for result in (
        client.react_upvote_threat_descriptor(first["id"]),
        client.react_downvote_threat_descriptor(second["id"]),
        client.react_matched_threat_descriptor(third["id"]),
    ):
        assert result[2]["success"] is True
    opinions = [
        body(platform.get(f"/v1/contributions/{contribution['id']}/opinions"))["opinions"]
        for contribution in (first, second, third)
    ]
    assert [[(opinion["opinion"], opinion["reason"]) for opinion in group] for group in opinions] == [
        [("confirms", None)],
        [("disputes", "other")],
        [],
    ]
    assert client_for(url, platform).react_upvote_threat_descriptor(first["id"])[2]["status"] == 403
    assert client.remove_reaction_from_threat_descriptor(first["id"], "HELPFUL")[2]["status"] == 422


def descriptor(indicator: str, kind: str) -> dict[str, str]:
    """Return a descriptor as the client sends it."""
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


def test_a_descriptor_is_stored_as_a_contribution_and_can_be_deleted(
    service: Service, platform: Caller, url: str
) -> None:
    client = client_for(url, platform)
    result = client.upload_threat_descriptor(descriptor(digits(pdq(1)), "HASH_PDQ"), False, False)[2]
    assert result["success"] is True
    shown = body(platform.get(f"/v1/contributions/{result['id']}"))
    assert (shown["signals"], shown["labels"], shown["removed_at"]) == ([pdq(1)], ["glorification"], None)
    assert client.delete_threat_descriptor(result["id"], False, False)[2] == {"success": True}
    assert platform.matched(pdq(1)) == []
    for kind, indicator, field in (("HASH_TMK", digits(pdq(1)), "type"), ("HASH_MD5", "1", "indicator")):
        error = client.upload_threat_descriptor(descriptor(indicator, kind), False, False)[2]
        assert {fault["at"] for fault in error["errors"]} == {field}


def test_videos_are_exchanged_and_deleted_as_vpdq_and_digests(
    service: Service, platform: Caller, other: Caller, reader: Reader, admin: Caller
) -> None:
    md5, sha256 = f"{5:032x}", f"{7:064x}"
    with_digests, without_digests = video(1, 2, 3, signals=[f"md5:{md5}", f"sha256:{sha256}"]), video(1, 2, 3)
    (first,), (second,) = platform.contribute(with_digests), service.caller(name="Third").contribute(without_digests)
    other.post(f"/v1/contributions/{first['id']}/opinions", {"opinion": "disputes", "reason": "other"})
    service.clock.advance(seconds=1)
    assert reader.fetch() == {}, "frames of videos are not listed as pictures"
    disputed = [f"{platform.member}:POSITIVE_CLASS:glorification", f"{other.member}:NEGATIVE_CLASS:"]
    assert reader.fetch(kind=VideoMD5Signal) == {md5: disputed}
    assert reader.fetch(kind=VideoSHA256Signal) == {sha256: disputed}
    ((text, opinions),) = reader.fetch(kind=VPDQSignal).items()
    assert json.loads(text) == [f"{digits(pdq(seed))},90,{seed - 1}.000" for seed in (1, 2, 3)]
    assert len(opinions) == 3

    # A value that is suppressed later stays in the vPDQ text, because the text identifies the video for the reader.
    admin.post("/v1/benign", {"entries": [{"signals": [pdq(2)], "note": "x"}]})
    platform.post(f"/v1/contributions/{first['id']}/withdrawal", {"reason": "other"})
    service.clock.advance(seconds=1)
    assert set(reader.fetch(kind=VPDQSignal)) == {text}, "another member still contributes it"
    assert reader.fetch(kind=VideoMD5Signal) == {}
    service.caller(name="Fourth").post(f"/v1/contributions/{second['id']}/opinions", {"opinion": "confirms"})
    admin.delete(f"/v1/contributions/{second['id']}/content")
    service.clock.advance(seconds=1)
    assert reader.fetch(kind=VPDQSignal) == {}
    assert (reader.checkpoint.update_time > 0, reader.records) == (True, {})


def test_videos_with_many_frames_are_spread_over_several_pages(
    service: Service, platform: Caller, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "FRAMES_A_REQUEST", 10)
    platform.contribute(*(video(*range(start, start + 4)) for start in range(0, 20, 4)))
    service.clock.advance(seconds=1)
    # The last update of a fetch has no value.
    assert [len(delta.updates) for delta in reader.exchange.fetch_iter([VPDQSignal], None)] == [2, 2, 2]
    assert len(reader.fetch(kind=VPDQSignal)) == 5


@pytest.mark.parametrize("kind", ["HASH_MD5", "HASH_VIDEO_MD5", "HASH_SHA256", "HASH_VIDEO_SHA256", "HASH_VIDEO_VPDQ"])
def test_a_client_contributes_digests_and_vpdq(platform: Caller, url: str, kind: str) -> None:
    vpdq = json.dumps([f"{digits(pdq(seed))},90,{seed}.0" for seed in range(3)])
    value = vpdq if kind.endswith("VPDQ") else f"{5:032x}" if kind.endswith("MD5") else f"{5:064x}"
    result = client_for(url, platform).upload_threat_descriptor(descriptor(value, kind), False, False)[2]
    shown = body(platform.get(f"/v1/contributions/{result['id']}"))
    assert shown["media"] == ("video" if "_VIDEO_" in kind else "image")
    assert (len(shown["signals"]), shown.get("frame_count", 0)) == ((0, 3) if kind.endswith("VPDQ") else (1, 0))


def test_the_service_is_the_only_privacy_group(platform: Caller, url: str) -> None:
    client = client_for(url, platform)
    (group,) = client.get_threat_privacy_groups_member()
    assert (group.name, group.threat_updates_enabled) == ("hashdb", True)
    assert client.get_privacy_group(int(group.id)).name == "hashdb"
    assert client.get_threat_privacy_groups_owner() == []


@pytest.mark.parametrize("token", ["", "x", "1|", "|{secret}", "00000099|{secret}", "x|{secret}", "{secret}"])
def test_an_invalid_token_is_rejected(service: Service, platform: Caller, token: str) -> None:
    query = {"access_token": token.format(secret=platform.secret)}
    problem(service.anonymous.get(UPDATES, query_string=query), 401)
    problem(service.anonymous.post("/graph/1/", data=query), 401)


def test_a_missing_scope_is_reported(service: Service) -> None:
    matcher = service.caller(Scope.MATCH)
    problem(service.anonymous.get(UPDATES, query_string={"access_token": token_for(matcher)}), 403, "scope-missing")


@pytest.mark.parametrize("parameter", ["start_time=x", "stop_time=-1", "limit=0", "after=1", "after=a-b"])
def test_an_invalid_query_is_reported_at_its_field(service: Service, platform: Caller, parameter: str) -> None:
    query = {"access_token": token_for(platform), **dict([parameter.split("=")])}
    assert set(faults(service.anonymous.get(UPDATES, query_string=query))) == {parameter.partition("=")[0]}


def test_other_types_and_earlier_times_return_only_the_closing_update(service: Service, platform: Caller) -> None:
    platform.contribute(item(1))
    service.clock.advance(seconds=5)
    for filters in ({"types": "HASH_MD5"}, {"stop_time": int(service.clock().timestamp()) - 60}):
        answer = service.anonymous.get(UPDATES, query_string={"access_token": token_for(platform), **filters})
        assert [update["id"] for update in body(answer)["data"]] == ["0"]


def test_the_next_page_is_at_the_public_address(tmp_path: Any) -> None:
    with service_at(f"sqlite:///{tmp_path}/hashdb.sqlite", public_url="https://hashes.example/") as service:
        platform = service.caller()
        platform.contribute(item(1), item(2))
        service.clock.advance(seconds=1)
        answer = body(service.anonymous.get(UPDATES, query_string={"access_token": token_for(platform), "limit": 1}))
        assert answer["paging"]["next"].startswith("https://hashes.example/graph/1/threat_updates/?access_token=0")
