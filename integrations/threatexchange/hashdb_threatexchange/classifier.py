"""A classifier that hashes a file on this machine, queries a service or a sidecar, and returns labels.

Unlike the exchange, the classifier needs the package of hashdb itself, which hashes files and sends queries.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from threatexchange.classifier.classifier import ClassificationInfo, ClassificationResult, Classifier
from threatexchange.content_type.content_base import ContentType
from threatexchange.content_type.photo import PhotoContent
from threatexchange.content_type.video import VideoContent
from threatexchange.exchanges.auth import SignalExchangeAPIMissingAuthException
from threatexchange.signal_type.md5 import VideoMD5Signal
from threatexchange.signal_type.sha256 import VideoSHA256Signal

from hashdb import Algorithm, Client, Match, Query, Result, Signal, hash_file
from hashdb.hashing import Mode
from hashdb_threatexchange.exchange import HashdbSignalExchangeAPI
from hashdb_threatexchange.records import HashdbCredentials

ALGORITHMS = (Algorithm.PDQ, Algorithm.PHASH256)
_SECONDS = 10.0


@dataclass
class HashdbInfo(ClassificationInfo):
    """The matching contributions with a label, nearest first, and the distance of the nearest in bits.

    `distance` is by algorithm. It is empty for equal files, and if the service returns no distances to the key.
    """

    contributions: list[int] = field(default_factory=list)
    distance: dict[str, int] = field(default_factory=dict)
    severity: int | None = None

    def weight_str(self) -> str:
        """The distance of the nearest contribution, like `pdq 4`; empty if the service does not return it."""
        return " ".join(f"{name} {bits}" for name, bits in self.distance.items())


class HashdbClassifier(Classifier):
    """Labels pictures that are close to a contribution, and videos whose file is equal to one.

    Only hashes leave this process. A label is advice to review, never a command. Every method raises the errors of
    `hashdb.errors`: a request that fails is an error, not a result without labels.
    """

    def __init__(
        self,
        url: str,
        key: str = "",
        *,
        algorithms: Sequence[Algorithm] = ALGORITHMS,
        transforms: bool = False,
        seconds: float = _SECONDS,
        retries: int = 1,
    ) -> None:
        """Create a client; send no request yet.

        `url` is the address of a service or of a sidecar, which needs no key. `unix:` and a path is the socket of a
        sidecar. With `transforms`, the query includes altered forms of a picture: it finds more and takes longer.
        A request fails after `seconds` without a response. The client retries it up to `retries` times. It also
        retries a request that exceeded a limit, after the delay that the service asks for.
        """
        self._client = Client(url, key, timeout=seconds, retries=retries)
        self._algorithms = tuple(algorithms)
        self._mode = Mode.TRANSFORMS if transforms else Mode.PLAIN

    @classmethod
    def get_content_types(cls) -> list[type[ContentType]]:
        """Pictures and videos."""
        return [PhotoContent, VideoContent]

    @classmethod
    def get_with_default_settings(cls) -> Self:
        """The classifier for TX_HASHDB_URL, with the key of the exchange if there is one."""
        if not (url := os.environ.get("TX_HASHDB_URL", "")):
            raise ValueError("set TX_HASHDB_URL to the address of the service or of the sidecar")
        try:
            key = HashdbCredentials.get(HashdbSignalExchangeAPI).for_url(url)
        except SignalExchangeAPIMissingAuthException:
            key = ""
        return cls(url, key)

    def classify(self, content_type: type[ContentType], content_val: str) -> ClassificationResult[HashdbInfo]:
        """The labels of the contributions that match the file at this path. A web address is not fetched."""
        return self.classify_many(content_type, [content_val])[0]

    def classify_many(
        self, content_type: type[ContentType], paths: Sequence[str]
    ) -> list[ClassificationResult[HashdbInfo]]:
        """The labels for each file, in order, in as few requests as possible."""
        queries = [self._query(content_type, Path(path)) for path in paths]
        return [_labelled(result) for result in self._client.match(queries).results] if queries else []

    def _query(self, content_type: type[ContentType], path: Path) -> Query:
        if content_type is PhotoContent:
            hashed = hash_file(path, self._algorithms, mode=self._mode)
            return Query(hashed.signals, transforms=hashed.transforms, signatures=hashed.signatures)
        if content_type is VideoContent:
            digests = (Algorithm.MD5, VideoMD5Signal), (Algorithm.SHA256, VideoSHA256Signal)
            texts = [f"{algorithm}:{signal.hash_from_file(path)}" for algorithm, signal in digests]
            return Query(tuple(map(Signal.parse, texts)))
        raise ValueError(f"hashdb classifies photo and video, not {content_type.get_name()}")


def _labelled(result: Result) -> ClassificationResult[HashdbInfo]:
    """The labels of all matches of a result, which lists the nearest first."""
    labels: dict[str, HashdbInfo] = {}
    for match in result.matches:
        for label in match.labels:
            info = labels.setdefault(label, HashdbInfo(True, distance=_distance(match)))
            info.contributions.append(match.contribution)
            if match.severity is not None:
                info.severity = max(match.severity, info.severity or 0)
    return ClassificationResult(labels)


def _distance(match: Match) -> dict[str, int]:
    return {str(algorithm): bits for algorithm, bits in match.distance.items() if bits is not None}
