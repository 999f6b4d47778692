"""StopNCII's protocol, spoken by the unmodified `threatexchange` package."""

from __future__ import annotations

from typing import Any

import pytest

from hashdb.domain.accounts.members import Scope
from tests.web.api.test_videos import video
from tests.web.callers import Caller, Service, body, faults, item, pdq, problem, service_at
from tests.web.sharing.served import digits

pytest.importorskip("threatexchange")

from threatexchange.exchanges.clients.stopncii.api import (
    StopNCIIAPI,
    StopNCIICaseStatus,
    StopNCIICSPFeedbackValue,
    StopNCIIEndpoint,
    StopNCIISignalType,
)
from threatexchange.exchanges.collab_config import CollaborationConfigBase
from threatexchange.exchanges.impl.stop_ncii_api import StopNCIICredentials, StopNCIISignalExchangeAPI
from threatexchange.signal_type.md5 import VideoMD5Signal
from threatexchange.signal_type.pdq.signal import PdqSignal

MD5 = "1" * 31 + "2"
FETCH = "/stopncii/v1/FetchHashes"
VALUES = StopNCIICSPFeedbackValue


class Reader:
    """A copy kept by the exchange of `threatexchange`, fetch by fetch."""

    def __init__(self, url: str, secret: str | None) -> None:
        credentials = StopNCIICredentials(f"{secret}", "unused", f"{url}/stopncii/v1")
        config = CollaborationConfigBase(name="hashdb", api="stop_ncii", enabled=True)
        self.exchange: Any = StopNCIISignalExchangeAPI.for_collab(config, credentials)
        self.checkpoint: Any = None
        self.held: dict[Any, Any] = {}
        self.got = 0

    def fetch(self) -> dict[str, list[str]]:
        """The opinions on each PDQ value that it holds, when it has fetched all that is new."""
        self.got = 0
        for delta in self.exchange.fetch_iter([PdqSignal], self.checkpoint):
            self.exchange.naive_fetch_merge(self.held, delta.updates)
            before = self.checkpoint.update_time if self.checkpoint else 0
            assert delta.checkpoint.update_time >= before, "checkpoint time rewound?"
            self.checkpoint = delta.checkpoint
            self.got += len(delta.updates)
        converted = self.exchange.naive_convert_to_signal_type([PdqSignal], None, self.held).get(PdqSignal, {})
        return {
            value: sorted(
                f"{said.source}:{said.feedbackValue.value}:{','.join(sorted(said.tags))}" for said in one.feedbacks
            )
            for value, one in converted.items()
        }


def client_of(url: str, caller: Caller) -> StopNCIIAPI:
    """The client, with one key for every endpoint."""
    keys = dict.fromkeys(StopNCIIEndpoint, str(caller.secret))
    return StopNCIIAPI("unused", str(caller.secret), keys, f"{url}/stopncii/v1")


@pytest.fixture
def reader(url: str, other: Caller) -> Reader:
    return Reader(url, other.secret)


def test_a_reader_fetches_all_and_then_what_is_new(service: Service, platform: Caller, reader: Reader) -> None:
    assert reader.fetch() == {}
    platform.contribute(item(1, signals=[pdq(1), "phash:d1c4b2a09f8e7d6c", pdq(2)]))
    assert reader.fetch() == {}, "the second is not over"
    service.clock.go(seconds=1)
    assert reader.fetch() == {digits(pdq(seed)): ["Platform:Blocked:glorification"] for seed in (1, 2)}
    service.clock.go(seconds=1)
    assert (len(reader.fetch()), reader.got) == (2, 0)
    platform.contribute(item(3, labels=["manifesto"]))
    service.clock.go(seconds=1)
    assert reader.fetch()[digits(pdq(3))] == ["Platform:Blocked:manifesto"]
    assert reader.got == 1


def test_what_two_members_contribute_is_one_hash_with_the_opinions_of_both(
    service: Service, platform: Caller, other: Caller, reader: Reader
) -> None:
    (one,) = platform.contribute(item(1))
    other.contribute(item(1, labels=["incitement"]))
    third = service.caller(name="Third")
    third.post(f"/v1/contributions/{one['id']}/opinions", {"opinion": "disputes", "reason": "edsa_context"})
    service.caller(name="Fourth").post(f"/v1/contributions/{one['id']}/opinions", {"opinion": "confirms"})
    service.clock.go(seconds=1)
    assert reader.fetch() == {
        digits(pdq(1)): [
            "Fourth:Blocked:",
            "Other:Blocked:incitement",
            "Platform:Blocked:glorification",
            "Third:NotBlocked:edsa_context",
        ]
    }


def test_a_reader_that_had_it_is_told_that_it_is_withdrawn_and_nobody_else(
    service: Service, platform: Caller, url: str, other: Caller, reader: Reader
) -> None:
    one, two = platform.contribute(item(1), item(2))
    service.clock.go(seconds=1)
    assert len(reader.fetch()) == 2
    platform.post(f"/v1/contributions/{one['id']}/withdrawal", {"reason": "other"})
    platform.delete(f"/v1/contributions/{two['id']}/content")
    service.clock.go(seconds=1)
    # This client keeps what is withdrawn, so that no more can be done than to dispute it.
    said = ["hashdb:NotBlocked:withdrawn"]
    assert reader.fetch() == {digits(pdq(1)): said, digits(pdq(2)): said}
    late = Reader(url, other.secret)
    assert (late.fetch(), late.got) == ({}, 0)
    service.clock.go(seconds=1)
    assert (late.fetch(), late.got) == ({}, 0)
    answer = client_of(url, other).fetch_hashes(start_timestamp=int(service.clock().timestamp()) - 3)
    assert {record.hashStatus for record in answer.hashRecords} == {StopNCIICaseStatus.Withdrawn}


def test_what_another_member_still_contributes_is_not_withdrawn(
    service: Service, platform: Caller, other: Caller, reader: Reader
) -> None:
    (one,) = platform.contribute(item(1))
    other.contribute(item(1))
    service.clock.go(seconds=1)
    reader.fetch()
    platform.post(f"/v1/contributions/{one['id']}/withdrawal", {"reason": "other"})
    service.clock.go(seconds=1)
    assert reader.fetch() == {digits(pdq(1)): ["Other:Blocked:glorification"]}


def test_pages_are_cut_so_that_a_reader_may_stop_anywhere(
    service: Service, platform: Caller, url: str, other: Caller
) -> None:
    for start in range(0, 50, 10):
        platform.contribute(*[item(seed) for seed in range(start, start + 10)])
        service.clock.go(seconds=1)
    client, held, pages, start = client_of(url, other), set(), 0, 10
    while True:
        # One page each, then on from its time as if the run had been cut off.
        page = client.fetch_hashes(start_timestamp=start, page_size=15)
        held |= {record.hashValue for record in page.hashRecords}
        assert page.nextSetTimestamp >= start
        start, pages = page.nextSetTimestamp, pages + 1
        if not page.hasMoreRecords:
            break
        assert pages < 20
    assert held == {digits(pdq(seed)) for seed in range(50)}
    whole = list(client.fetch_hashes_iter())
    assert [page.count for page in whole] == [50]


def test_hashes_are_contributed(service: Service, platform: Caller, url: str) -> None:
    client = client_of(url, platform)
    client.submit_hash(StopNCIISignalType.ImagePDQ, digits(pdq(1)).upper(), {"anything"})
    (one,) = body(platform.get("/v1/contributions"))["contributions"]
    assert (one["signals"], one["labels"]) == ([pdq(1)], ["glorification"])
    assert (one["removed_at"], one["quality"]) == (None, None)
    assert platform.matched(pdq(1)) == [one["id"]]


def test_the_md5_of_videos_is_exchanged_and_judged(
    service: Service, platform: Caller, other: Caller, url: str, reader: Reader
) -> None:
    client_of(url, platform).submit_hash(StopNCIISignalType.VideoMD5, MD5)
    (one,) = body(platform.get("/v1/contributions"))["contributions"]
    assert (one["signals"], one["media"]) == ([f"md5:{MD5}"], "video")
    # The MD5 of a picture has no type at StopNCII, and frames of videos are no pictures there.
    platform.contribute(item(signals=[f"md5:{5:032x}"]), video(1, 2, 3, signals=[f"md5:{6:032x}"]))
    service.clock.go(seconds=1)
    assert reader.fetch() == {}
    held = reader.exchange.naive_convert_to_signal_type([VideoMD5Signal], None, reader.held)[VideoMD5Signal]
    assert set(held) == {MD5, f"{6:032x}"}
    client_of(url, other).submit_feedback(StopNCIISignalType.VideoMD5, MD5, VALUES.NotBlocked)
    (said,) = body(platform.get(f"/v1/contributions/{one['id']}/opinions"))["opinions"]
    assert said["opinion"] == "disputes"
    platform.post(f"/v1/contributions/{one['id']}/withdrawal", {"reason": "other"})
    service.clock.go(seconds=1)
    (record,) = client_of(url, other).fetch_hashes(start_timestamp=int(service.clock().timestamp()) - 2).hashRecords
    assert (record.signalType, record.hashValue) == (StopNCIISignalType.VideoMD5, MD5)
    assert record.hashStatus is StopNCIICaseStatus.Withdrawn


def test_feedback_becomes_opinions(service: Service, platform: Caller, other: Caller, url: str) -> None:
    one, two = platform.contribute(item(1), item(2))
    mine, *_ = other.contribute(item(1))
    client = client_of(url, other)
    client.submit_feedback(StopNCIISignalType.ImagePDQ, digits(pdq(1)), VALUES.NotBlocked, {"x", "edsa_context"})
    client.submit_feedback(StopNCIISignalType.ImagePDQ, digits(pdq(2)), VALUES.Blocked)
    client.submit_feedback(StopNCIISignalType.ImagePDQ, digits(pdq(2)), VALUES.PendingReview)
    (said,) = body(platform.get(f"/v1/contributions/{one['id']}/opinions"))["opinions"]
    assert (said["opinion"], said["reason"], said["member"]["name"]) == ("disputes", "edsa_context", "Other")
    (said,) = body(platform.get(f"/v1/contributions/{two['id']}/opinions"))["opinions"]
    assert said["opinion"] == "confirms"
    assert body(platform.get(f"/v1/contributions/{mine['id']}/opinions"))["opinions"] == []


def headed(caller: Caller) -> dict[str, str]:
    return {"x-functions-key": str(caller.secret)}


def test_a_wrong_key_or_scope_is_refused(service: Service) -> None:
    problem(service.anonymous.get(FETCH), 401)
    problem(service.anonymous.get(FETCH, headers={"x-functions-key": "hdb_x"}), 401)
    matcher = service.caller(Scope.MATCH)
    for address in ("SubmitHashes", "SubmitFeedback"):
        problem(service.anonymous.post(f"/stopncii/v1/{address}", {}), 401)
    problem(service.anonymous.get(FETCH, headers=headed(matcher)), 403, "scope-missing")


@pytest.mark.parametrize(
    "query",
    [
        "startTimestamp=x",
        "startTimestamp=-1",
        "startTimestamp=9999999999999999",
        "pageSize=0",
        "nextPageToken=1",
        "nextPageToken=1-2-3",
        "nextPageToken=%00",
    ],
)
def test_a_wrong_query_is_told(service: Service, platform: Caller, query: str) -> None:
    assert set(faults(service.anonymous.get(f"{FETCH}?{query}", headers=headed(platform)))) == {query.partition("=")[0]}


@pytest.mark.parametrize("query", ["startTimestamp=253402300799", "nextPageToken=999999999999999-99999999999"])
def test_what_is_past_the_end_is_empty(service: Service, platform: Caller, query: str) -> None:
    platform.contribute(item(1))
    answer = body(service.anonymous.get(f"{FETCH}?{query}", headers=headed(platform)))
    assert (answer["hashRecords"], answer["hasMoreRecords"]) == ([], False)


def test_wrong_hashes_are_told_all_at_once_and_none_is_stored(service: Service, platform: Caller) -> None:
    good = {"signalType": "ImagePDQ", "hashValue": digits(pdq(1))}
    sent = [
        good,
        {"signalType": "VideoTMK", "hashValue": "1" * 32},
        {**good, "hashValue": "12"},
        {**good, "CSPFeedbacks": [{"feedbackValue": "NotBlocked"}]},
    ]
    refused = service.anonymous.post("/stopncii/v1/SubmitHashes", {"hashRecords": sent}, headers=headed(platform))
    assert set(faults(refused)) == {
        "hashRecords[1].signalType",
        "hashRecords[2].hashValue",
        "hashRecords[3].CSPFeedbacks",
    }
    blank = service.anonymous.post(
        "/stopncii/v1/SubmitHashes", {"hashRecords": [{**good, "hashValue": "0" * 64}]}, headers=headed(platform)
    )
    assert set(faults(blank)) == {"contributions[0].signals[0]"}
    assert service.rows()["contributions"] == 0


def test_feedback_on_what_nobody_else_contributes_is_told(service: Service, platform: Caller, other: Caller) -> None:
    other.contribute(item(1))
    platform.contribute(item(2))
    sent = [{"hashValue": digits(pdq(seed)), "feedbackValue": "Blocked"} for seed in (1, 2, 3)]
    refused = service.anonymous.post("/stopncii/v1/SubmitFeedback", {"hashFeedbacks": sent}, headers=headed(platform))
    assert set(faults(refused)) == {"hashFeedbacks[1]", "hashFeedbacks[2]"}
    assert service.rows()["opinions"] == 0


def test_without_a_label_nothing_is_taken(tmp_path: Any) -> None:
    with service_at(f"sqlite:///{tmp_path}/hashdb.sqlite") as service:
        sent = {"hashRecords": [{"signalType": "ImagePDQ", "hashValue": digits(pdq(1))}]}
        refused = service.anonymous.post("/stopncii/v1/SubmitHashes", sent, headers=headed(service.caller()))
        problem(refused, 403, "no-label")
