"""The exchange: reads the feed of a hashdb service, and sends opinions to it."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import requests
from threatexchange.exchanges import auth
from threatexchange.exchanges.fetch_state import FetchDelta, SignalOpinion, SignalOpinionCategory
from threatexchange.exchanges.signal_exchange_api import SignalExchangeAPI
from threatexchange.signal_type.signal_base import SignalType

from hashdb_threatexchange.records import (
    NAME,
    HashdbCheckpoint,
    HashdbConfig,
    HashdbContribution,
    HashdbCredentials,
    HashdbMetadata,
)

_PAGE = 1000
_SECONDS = 60
_GONE = 410
_ALGORITHMS = {"pdq": "pdq", "video_md5": "md5", "video_sha256": "sha256", "hashdb_url": "url"}
"""The algorithm of hashdb for each signal type."""
_DIGESTS = ("md5:", "sha256:")
_VPDQ = "vpdq"
_PASSAGES = "simhash256"

_Delta = FetchDelta[str, HashdbMetadata, HashdbCheckpoint]


class HashdbSignalExchangeAPI(
    auth.SignalExchangeWithAuth[HashdbConfig, HashdbCredentials],
    SignalExchangeAPI[HashdbConfig, HashdbCheckpoint, HashdbMetadata, str, HashdbMetadata],
):
    """Stores the contributions of a service, not single values, so it deletes exactly those that are gone."""

    def __init__(self, url: str, secret: str) -> None:
        """Open a session; send no request yet."""
        super().__init__()
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {secret}"

    @classmethod
    def get_name(cls) -> str:
        """The name on the command line."""
        return NAME

    @staticmethod
    def get_config_cls() -> type[HashdbConfig]:
        """The configuration of a collaboration."""
        return HashdbConfig

    @staticmethod
    def get_checkpoint_cls() -> type[HashdbCheckpoint]:
        """The position in the feed."""
        return HashdbCheckpoint

    @staticmethod
    def get_record_cls() -> type[HashdbMetadata]:
        """The stored record of a contribution or a value."""
        return HashdbMetadata

    @staticmethod
    def get_credential_cls() -> type[HashdbCredentials]:
        """The key of the service."""
        return HashdbCredentials

    @classmethod
    def for_collab(cls, collab: HashdbConfig, credentials: HashdbCredentials | None = None) -> HashdbSignalExchangeAPI:
        """The exchange with the service of a collaboration."""
        credentials = credentials or HashdbCredentials.get(cls)
        return cls(collab.url, credentials.for_url(collab.url))

    def fetch_iter(
        self, supported_signal_types: Sequence[type[SignalType]], checkpoint: HashdbCheckpoint | None
    ) -> Iterator[_Delta]:
        """The changes after a checkpoint, page by page; a stale checkpoint if the service has another log."""
        after, epoch = (checkpoint.after, checkpoint.epoch) if checkpoint else (0, None)
        me = self._request_json("GET", "/v1/me")["member"]["id"]
        while True:
            response = self._request("GET", "/v1/changes", params={"after": after, "limit": _PAGE, "epoch": epoch})
            if response.status_code == _GONE:
                logging.warning("%s has another log, perhaps after a restore: fetch again to start over", self._url)
                yield FetchDelta({}, HashdbCheckpoint(after, str(epoch), stale=True))
                return
            response.raise_for_status()
            page = response.json()
            after, epoch = page["checkpoint"], page["epoch"]
            yield FetchDelta(dict(_update(change, me) for change in page["changes"]), HashdbCheckpoint(after, epoch))
            if not page["more"]:
                return

    @classmethod
    def naive_convert_to_signal_type(
        cls,
        signal_types: Sequence[type[SignalType]],
        collab: HashdbConfig,
        fetched: Mapping[str, HashdbMetadata],
    ) -> dict[type[SignalType], dict[str, HashdbMetadata]]:
        """The values of each signal type, each with all contributions that have it."""
        converted: dict[type[SignalType], dict[str, HashdbMetadata]] = {}
        for signal_type in signal_types:
            by_value: dict[str, HashdbMetadata] = {}
            for metadata in fetched.values():
                for contribution in metadata.contributions if metadata else ():
                    for value in _values(contribution, signal_type.get_name()):
                        by_value.setdefault(value, HashdbMetadata([])).contributions.append(contribution)
            if by_value:
                converted[signal_type] = by_value
        return converted

    def report_opinion(self, s_type: type[SignalType], signal: str, opinion: SignalOpinion) -> None:
        """Confirm or dispute the contributions of other members that have a value.

        A positive opinion on a value that no member contributes contributes it, with the opinion's tags as labels. A
        dispute has the first tag as its reason, or `other`.
        """
        algorithm = _ALGORITHMS.get(s_type.get_name())
        # The value of a queried address can have a second digest.
        signal = signal.partition(" ")[0]
        if algorithm is None:
            raise NotImplementedError(f"this exchange accepts opinions on {', '.join(_ALGORITHMS)} only")
        if opinion.category is SignalOpinionCategory.INVESTIGATION_SEED:
            raise NotImplementedError("this exchange accepts positive and negative opinions only")
        mine, others = self._holders(algorithm, signal)
        positive = opinion.category is SignalOpinionCategory.POSITIVE_CLASS
        tags = sorted(opinion.tags)
        body = {"opinion": "confirms"} if positive else {"opinion": "disputes", "reason": (tags or ["other"])[0]}
        for id in others:
            self._request_json("POST", f"/v1/contributions/{id}/opinions", json=body)
        if positive and not (mine or others):
            media = {"pdq": "image", "url": "document"}.get(algorithm, "video")
            item = {"signals": [f"{algorithm}:{signal}"], "labels": tags, "removed_at": None, "media": media}
            self._request_json("POST", "/v1/contributions", params={"imported": 1}, json={"contributions": [item]})

    def _holders(self, algorithm: str, value: str) -> tuple[list[int], list[int]]:
        """The contributions that have a value: those of this member, and those of others."""
        me = self._request_json("GET", "/v1/me")["member"]["id"]
        query: dict[str, Any] = {"signals": [f"{algorithm}:{value}"]}
        if algorithm == "pdq":
            query["radius"] = {"pdq": 0}
        (result,) = self._request_json("POST", "/v1/matches", json={"queries": [query]})["results"]
        ids = [match["contribution"] for match in result["matches"] if match["contribution"]]
        owners = {id: self._request_json("GET", f"/v1/contributions/{id}")["member"]["id"] for id in ids}
        return [id for id in ids if owners[id] == me], [id for id in ids if owners[id] != me]

    def _request_json(self, method: str, path: str, **options: Any) -> Any:
        response = self._request(method, path, **options)
        if not response.ok:
            raise requests.HTTPError(f"{response.status_code} from {self._url}{path}: {response.text[:500]}")
        return response.json()

    def _request(self, method: str, path: str, **options: Any) -> requests.Response:
        return self._session.request(method, self._url + path, timeout=_SECONDS, allow_redirects=False, **options)


def _values(contribution: HashdbContribution, name: str) -> set[str]:
    """The values of a contribution that are of a signal type."""
    if name == _VPDQ:
        return {contribution.vpdq} if contribution.vpdq else set()
    if name == _PASSAGES:
        return {contribution.passages} if contribution.passages else set()
    prefix = f"{_ALGORITHMS.get(name, name)}:"
    return {text.removeprefix(prefix) for text in contribution.signals if text.startswith(prefix)}


def _vpdq(frames: Sequence[dict[str, Any]]) -> str:
    """The frames of a video as the JSON of vPDQ; empty if no frame has PDQ.

    The first PDQ of a frame is that of the unaltered frame.
    """
    entries: list[str] = []
    for frame in frames:
        own = next((text for text in frame["signals"] if text.startswith("pdq:")), None)
        if own is not None and "at" in frame:
            entries.append(f"{own.removeprefix('pdq:')},{frame['quality'] or 0},{frame['at']:.3f}")
    return json.dumps(entries) if entries else ""


def _passages(frames: Sequence[dict[str, Any]]) -> str:
    """The windows of words among the frames, as JSON; empty if there are none."""
    entries = [
        f"{text.partition(':')[2]},{frame['words'][0]},{frame['words'][1]}"
        for frame in frames
        if "words" in frame
        for text in frame["signals"]
    ]
    return json.dumps(entries) if entries else ""


def _update(change: dict[str, Any], me: int) -> tuple[str, HashdbMetadata | None]:
    if "gone" in change:
        return str(change["gone"]), None
    contribution = change["contribution"]
    # threatexchange has signal types for the digests of videos only.
    is_video = contribution["media"] == "video"
    record = HashdbContribution(
        id=contribution["id"],
        member=contribution["member"]["name"],
        is_mine=contribution["member"]["id"] == me,
        signals=[text for text in contribution["signals"] if is_video or not text.startswith(_DIGESTS)],
        labels=contribution["labels"],
        standing=contribution["standing"],
        vpdq=_vpdq(contribution.get("frames", ())),
        passages=_passages(contribution.get("frames", ())),
    )
    return str(record.id), HashdbMetadata([record])
