"""Reading a hashdb service by its feed, and telling it opinions."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import requests
from threatexchange.exchanges import auth
from threatexchange.exchanges.fetch_state import FetchDelta, SignalOpinion, SignalOpinionCategory
from threatexchange.exchanges.signal_exchange_api import SignalExchangeAPI
from threatexchange.signal_type.pdq.signal import PdqSignal
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
_PDQ = "pdq:"

_Delta = FetchDelta[str, HashdbMetadata, HashdbCheckpoint]


class HashdbSignalExchangeAPI(
    auth.SignalExchangeWithAuth[HashdbConfig, HashdbCredentials],
    SignalExchangeAPI[HashdbConfig, HashdbCheckpoint, HashdbMetadata, str, HashdbMetadata],
):
    """Follows a service by contributions, so that exactly what is gone is deleted."""

    def __init__(self, url: str, secret: str) -> None:
        """Asks nothing yet."""
        super().__init__()
        self._url = url.rstrip("/")
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {secret}"

    @classmethod
    def get_name(cls) -> str:
        """As it is named on the command line."""
        return NAME

    @staticmethod
    def get_config_cls() -> type[HashdbConfig]:
        """What is configured."""
        return HashdbConfig

    @staticmethod
    def get_checkpoint_cls() -> type[HashdbCheckpoint]:
        """How far it was read."""
        return HashdbCheckpoint

    @staticmethod
    def get_record_cls() -> type[HashdbMetadata]:
        """What is kept."""
        return HashdbMetadata

    @staticmethod
    def get_credential_cls() -> type[HashdbCredentials]:
        """What opens it."""
        return HashdbCredentials

    @classmethod
    def for_collab(cls, collab: HashdbConfig, credentials: HashdbCredentials | None = None) -> HashdbSignalExchangeAPI:
        """An exchange with one service."""
        found = credentials or HashdbCredentials.get(cls)
        return cls(collab.url, found.for_url(collab.url))

    def fetch_iter(
        self, supported_signal_types: Sequence[type[SignalType]], checkpoint: HashdbCheckpoint | None
    ) -> Iterator[_Delta]:
        """What changed since, a page at a time; where the log was set back, that all is to be fetched again."""
        after, epoch = (checkpoint.after, checkpoint.epoch) if checkpoint else (0, None)
        me = self._ask("GET", "/v1/me")["member"]["id"]
        while True:
            response = self._send("GET", "/v1/changes", params={"after": after, "limit": _PAGE, "epoch": epoch})
            if response.status_code == _GONE:
                logging.warning("%s was set back: what is here is dropped, fetch once more", self._url)
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
        """The PDQ values, each with all contributions that hold it."""
        if PdqSignal not in signal_types:
            return {}
        found: dict[str, HashdbMetadata] = {}
        for metadata in fetched.values():
            for one in metadata.contributions if metadata else ():
                for value in {text.removeprefix(_PDQ) for text in one.signals if text.startswith(_PDQ)}:
                    found.setdefault(value, HashdbMetadata([])).contributions.append(one)
        return {PdqSignal: found} if found else {}

    def report_opinion(self, s_type: type[SignalType], signal: str, opinion: SignalOpinion) -> None:
        """Confirm or dispute what others contribute with a value; where nobody does, contribute it.

        The labels are those of the opinion's tags; of a dispute a tag may be the reason.
        """
        if s_type.get_name() != PdqSignal.get_name():
            raise NotImplementedError("hashdb takes PDQ here")
        if opinion.category is SignalOpinionCategory.INVESTIGATION_SEED:
            raise NotImplementedError("hashdb takes what is positive or negative")
        mine, others = self._holders(signal)
        positive = opinion.category is SignalOpinionCategory.POSITIVE_CLASS
        tags = sorted(opinion.tags)
        said = {"opinion": "confirms"} if positive else {"opinion": "disputes", "reason": (tags or ["other"])[0]}
        for id in others:
            self._ask("POST", f"/v1/contributions/{id}/opinions", json=said)
        if positive and not (mine or others):
            item = {"signals": [_PDQ + signal], "labels": tags, "removed_at": None}
            self._ask("POST", "/v1/contributions", params={"imported": 1}, json={"contributions": [item]})

    def _holders(self, value: str) -> tuple[list[int], list[int]]:
        """The contributions that hold a value: one's own, and others'."""
        me = self._ask("GET", "/v1/me")["member"]["id"]
        query = {"signals": [_PDQ + value], "radius": {"pdq": 0}}
        (result,) = self._ask("POST", "/v1/matches", json={"queries": [query]})["results"]
        ids = [match["contribution"] for match in result["matches"] if match["contribution"]]
        owners = {id: self._ask("GET", f"/v1/contributions/{id}")["member"]["id"] for id in ids}
        return [id for id in ids if owners[id] == me], [id for id in ids if owners[id] != me]

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        response = self._send(method, path, **more)
        if not response.ok:
            raise requests.HTTPError(f"{response.status_code} from {self._url}{path}: {response.text[:500]}")
        return response.json()

    def _send(self, method: str, path: str, **more: Any) -> requests.Response:
        return self._session.request(method, self._url + path, timeout=_SECONDS, allow_redirects=False, **more)


def _update(change: dict[str, Any], me: int) -> tuple[str, HashdbMetadata | None]:
    if "gone" in change:
        return str(change["gone"]), None
    one = change["contribution"]
    kept = HashdbContribution(
        id=one["id"],
        member=one["member"]["name"],
        is_mine=one["member"]["id"] == me,
        signals=one["signals"],
        labels=one["labels"],
        standing=one["standing"],
    )
    return str(one["id"]), HashdbMetadata([kept])
