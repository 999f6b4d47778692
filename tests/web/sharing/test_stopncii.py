"""The protocol of StopNCII, with the unmodified `threatexchange` package as the client."""

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
    """A copy of the list that the exchange of `threatexchange` keeps and updates with each fetch."""

    def __init__(self, url: str, secret: str | None) -> None:
        credentials = StopNCIICredentials(f"{secret}", "unused", f"{url}/stopncii/v1")
        config = CollaborationConfigBase(name="hashdb", api="stop_ncii", enabled=True)
        self.exchange: Any = StopNCIISignalExchangeAPI.for_collab(config, credentials)
        self.checkpoint: Any = None
        self.records: dict[Any, Any] = {}
        self.update_count = 0

    def fetch(self) -> dict[str, list[str]]:
        """Fetch all updates, and return the opinions on each PDQ value of the copy."""
        self.update_count = 0
        for delta in self.exchange.fetch_iter([PdqSignal], self.checkpoint):
            self.exchange.naive_fetch_merge(self.records, delta.updates)
            before = self.checkpoint.update_time if self.checkpoint else 0
            assert delta.checkpoint.update_time >= before, "checkpoint time rewound?"
            self.checkpoint = delta.checkpoint
            self.update_count += len(delta.updates)
        converted = self.exchange.naive_convert_to_signal_type([PdqSignal], None, self.records).get(PdqSignal, {})
        return {
            value: sorted(
                f"{opinion.source}:{opinion.feedbackValue.value}:{','.join(sorted(opinion.tags))}"
                for opinion in record.feedbacks
            )
            for value, record in converted.items()
        }


def client_for(url: str, caller: Caller) -> StopNCIIAPI:
    """Return a client with one key for every endpoint."""
    keys = dict.fromkeys(StopNCIIEndpoint, str(caller.secret))
    return StopNCIIAPI("unused", str(caller.secret), keys, f"{url}/stopncii/v1")


@pytest.fixture
def reader(url: str, other: Caller) -> Reader:
    return Reader(url, other.secret)


def test_a_reader_fetches_everything_and_then_only_updates(service: Service, platform: Caller, reader: Reader) -> None:
    assert reader.fetch() == {}
    platform.contribute(item(1, signals=[pdq(1), "phash:d1c4b2a09f8e7d6c", pdq(2)]))
    assert reader.fetch() == {}, "updates are served only after their second has ended"
    service.clock.advance(seconds=1)
    assert reader.fetch() == {digits(pdq(seed)): ["Platform:Blocked:glorification"] for seed in (1, 2)}
    service.clock.advance(seconds=1)
    assert (len(reader.fetch()), reader.update_count) == (2, 0)
    platform.contribute(item(3, labels=["manifesto"]))
    service.clock.advance(seconds=1)
    assert reader.fetch()[digits(pdq(3))] == ["Platform:Blocked:manifesto"]
    assert reader.update_count == 1


def test_a_hash_of_two_members_has_the_opinions_of_both(
    service: Service, platform: Caller, other: Caller, reader: Reader
) -> None:
    (contribution,) = platform.contribute(item(1))
    other.contribute(item(1, labels=["incitement"]))
    third = service.caller(name="Third")
    third.post(f"/v1/contributions/{contribution['id']}/opinions", {"opinion": "disputes", "reason": "edsa_context"})
    service.caller(name="Fourth").post(f"/v1/contributions/{contribution['id']}/opinions", {"opinion": "confirms"})
    service.clock.advance(seconds=1)
    assert reader.fetch() == {
        digits(pdq(1)): [
            "Fourth:Blocked:",
            "Other:Blocked:incitement",
            "Platform:Blocked:glorification",
            "Third:NotBlocked:edsa_context",
        ]
    }


def test_only_readers_that_have_a_hash_get_its_withdrawal(
    service: Service, platform: Caller, url: str, other: Caller, reader: Reader
) -> None:
    first, second = platform.contribute(item(1), item(2))
    service.clock.advance(seconds=1)
    assert len(reader.fetch()) == 2
    platform.post(f"/v1/contributions/{first['id']}/withdrawal", {"reason": "other"})
    platform.delete(f"/v1/contributions/{second['id']}/content")
    service.clock.advance(seconds=1)
    # This client keeps withdrawn hashes, so the service can only add a dispute.
    withdrawal = ["hashdb:NotBlocked:withdrawn"]
    assert reader.fetch() == {digits(pdq(1)): withdrawal, digits(pdq(2)): withdrawal}
    new_reader = Reader(url, other.secret)
    assert (new_reader.fetch(), new_reader.update_count) == ({}, 0)
    service.clock.advance(seconds=1)
    assert (new_reader.fetch(), new_reader.update_count) == ({}, 0)
    answer = client_for(url, other).fetch_hashes(start_timestamp=int(service.clock().timestamp()) - 3)
    assert {record.hashStatus for record in answer.hashRecords} == {StopNCIICaseStatus.Withdrawn}


def test_a_hash_that_another_member_still_contributes_is_not_withdrawn(
    service: Service, platform: Caller, other: Caller, reader: Reader
) -> None:
    (contribution,) = platform.contribute(item(1))
    other.contribute(item(1))
    service.clock.advance(seconds=1)
    reader.fetch()
    platform.post(f"/v1/contributions/{contribution['id']}/withdrawal", {"reason": "other"})
    service.clock.advance(seconds=1)
    assert reader.fetch() == {digits(pdq(1)): ["Other:Blocked:glorification"]}


def test_a_reader_can_stop_at_any_page_and_continue_later(
    service: Service, platform: Caller, url: str, other: Caller
) -> None:
    for start in range(0, 50, 10):
        platform.contribute(*[item(seed) for seed in range(start, start + 10)])
        service.clock.advance(seconds=1)
    client, hashes, pages, start = client_for(url, other), set(), 0, 10
    while True:
        # Fetch one page each time, and continue from its time, as after an interruption.
        page = client.fetch_hashes(start_timestamp=start, page_size=15)
        hashes |= {record.hashValue for record in page.hashRecords}
        assert page.nextSetTimestamp >= start
        start, pages = page.nextSetTimestamp, pages + 1
        if not page.hasMoreRecords:
            break
        assert pages < 20
    assert hashes == {digits(pdq(seed)) for seed in range(50)}
    all_pages = list(client.fetch_hashes_iter())
    assert [page.count for page in all_pages] == [50]


def test_a_client_contributes_hashes(service: Service, platform: Caller, url: str) -> None:
    client = client_for(url, platform)
    client.submit_hash(StopNCIISignalType.ImagePDQ, digits(pdq(1)).upper(), {"anything"})
    (contribution,) = body(platform.get("/v1/contributions"))["contributions"]
    assert (contribution["signals"], contribution["labels"]) == ([pdq(1)], ["glorification"])
    assert (contribution["removed_at"], contribution["quality"]) == (None, None)
    assert platform.matched(pdq(1)) == [contribution["id"]]


def test_md5_hashes_of_videos_are_exchanged_and_disputed(
    service: Service, platform: Caller, other: Caller, url: str, reader: Reader
) -> None:
    client_for(url, platform).submit_hash(StopNCIISignalType.VideoMD5, MD5)
    (contribution,) = body(platform.get("/v1/contributions"))["contributions"]
    assert (contribution["signals"], contribution["media"]) == ([f"md5:{MD5}"], "video")
    # StopNCII has no type for the MD5 of a picture, and no frames of videos.
    platform.contribute(item(signals=[f"md5:{5:032x}"]), video(1, 2, 3, signals=[f"md5:{6:032x}"]))
    service.clock.advance(seconds=1)
    assert reader.fetch() == {}
    records = reader.exchange.naive_convert_to_signal_type([VideoMD5Signal], None, reader.records)[VideoMD5Signal]
    assert set(records) == {MD5, f"{6:032x}"}
    client_for(url, other).submit_feedback(StopNCIISignalType.VideoMD5, MD5, VALUES.NotBlocked)
    (opinion,) = body(platform.get(f"/v1/contributions/{contribution['id']}/opinions"))["opinions"]
    assert opinion["opinion"] == "disputes"
    platform.post(f"/v1/contributions/{contribution['id']}/withdrawal", {"reason": "other"})
    service.clock.advance(seconds=1)
    (record,) = client_for(url, other).fetch_hashes(start_timestamp=int(service.clock().timestamp()) - 2).hashRecords
    assert (record.signalType, record.hashValue) == (StopNCIISignalType.VideoMD5, MD5)
    assert record.hashStatus is StopNCIICaseStatus.Withdrawn


def test_feedback_is_stored_as_opinions(service: Service, platform: Caller, other: Caller, url: str) -> None:
    disputed, confirmed = platform.contribute(item(1), item(2))
    own, *_ = other.contribute(item(1))
    client = client_for(url, other)
    client.submit_feedback(StopNCIISignalType.ImagePDQ, digits(pdq(1)), VALUES.NotBlocked, {"x", "edsa_context"})
    client.submit_feedback(StopNCIISignalType.ImagePDQ, digits(pdq(2)), VALUES.Blocked)
    client.submit_feedback(StopNCIISignalType.ImagePDQ, digits(pdq(2)), VALUES.PendingReview)
    (opinion,) = body(platform.get(f"/v1/contributions/{disputed['id']}/opinions"))["opinions"]
    assert (opinion["opinion"], opinion["reason"], opinion["member"]["name"]) == ("disputes", "edsa_context", "Other")
    (opinion,) = body(platform.get(f"/v1/contributions/{confirmed['id']}/opinions"))["opinions"]
    assert opinion["opinion"] == "confirms"
    assert body(platform.get(f"/v1/contributions/{own['id']}/opinions"))["opinions"] == []


def key_header(caller: Caller) -> dict[str, str]:
    return {"x-functions-key": str(caller.secret)}


def test_an_invalid_key_or_scope_is_rejected(service: Service) -> None:
    problem(service.anonymous.get(FETCH), 401)
    problem(service.anonymous.get(FETCH, headers={"x-functions-key": "hdb_x"}), 401)
    matcher = service.caller(Scope.MATCH)
    for address in ("SubmitHashes", "SubmitFeedback"):
        problem(service.anonymous.post(f"/stopncii/v1/{address}", {}), 401)
    problem(service.anonymous.get(FETCH, headers=key_header(matcher)), 403, "scope-missing")


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
def test_an_invalid_query_is_reported_at_its_field(service: Service, platform: Caller, query: str) -> None:
    assert set(faults(service.anonymous.get(f"{FETCH}?{query}", headers=key_header(platform)))) == {
        query.partition("=")[0]
    }


@pytest.mark.parametrize("query", ["startTimestamp=253402300799", "nextPageToken=999999999999999-99999999999"])
def test_a_page_after_the_end_is_empty(service: Service, platform: Caller, query: str) -> None:
    platform.contribute(item(1))
    answer = body(service.anonymous.get(f"{FETCH}?{query}", headers=key_header(platform)))
    assert (answer["hashRecords"], answer["hasMoreRecords"]) == ([], False)


def test_all_invalid_hashes_are_reported_and_none_is_stored(service: Service, platform: Caller) -> None:
    good = {"signalType": "ImagePDQ", "hashValue": digits(pdq(1))}
    records = [
        good,
        {"signalType": "VideoTMK", "hashValue": "1" * 32},
        {**good, "hashValue": "12"},
        {**good, "CSPFeedbacks": [{"feedbackValue": "NotBlocked"}]},
    ]
    refused = service.anonymous.post(
        "/stopncii/v1/SubmitHashes", {"hashRecords": records}, headers=key_header(platform)
    )
    assert set(faults(refused)) == {
        "hashRecords[1].signalType",
        "hashRecords[2].hashValue",
        "hashRecords[3].CSPFeedbacks",
    }
    blank = service.anonymous.post(
        "/stopncii/v1/SubmitHashes", {"hashRecords": [{**good, "hashValue": "0" * 64}]}, headers=key_header(platform)
    )
    assert set(faults(blank)) == {"contributions[0].signals[0]"}
    assert service.rows()["contributions"] == 0


def test_feedback_on_hashes_of_no_other_member_is_rejected(service: Service, platform: Caller, other: Caller) -> None:
    other.contribute(item(1))
    platform.contribute(item(2))
    feedback = [{"hashValue": digits(pdq(seed)), "feedbackValue": "Blocked"} for seed in (1, 2, 3)]
    refused = service.anonymous.post(
        "/stopncii/v1/SubmitFeedback", {"hashFeedbacks": feedback}, headers=key_header(platform)
    )
    assert set(faults(refused)) == {"hashFeedbacks[1]", "hashFeedbacks[2]"}
    assert service.rows()["opinions"] == 0


def test_a_service_without_a_label_accepts_no_hashes(tmp_path: Any) -> None:
    with service_at(f"sqlite:///{tmp_path}/hashdb.sqlite") as service:
        submission = {"hashRecords": [{"signalType": "ImagePDQ", "hashValue": digits(pdq(1))}]}
        refused = service.anonymous.post("/stopncii/v1/SubmitHashes", submission, headers=key_header(service.caller()))
        problem(refused, 403, "no-label")
