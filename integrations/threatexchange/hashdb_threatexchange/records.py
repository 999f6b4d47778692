"""The stored records of a hashdb service: its address and key, the position in its feed, and its contributions."""

# The command line evaluates the types of these fields, so this module cannot import annotations from __future__.
import time
from dataclasses import dataclass, field
from typing import ClassVar, Self

from threatexchange.exchanges import auth
from threatexchange.exchanges.collab_config import CollaborationConfigWithDefaults
from threatexchange.exchanges.fetch_state import (
    FetchCheckpointBase,
    FetchedSignalMetadata,
    SignalOpinion,
    SignalOpinionCategory,
)

NAME = "hashdb"


@dataclass
class _Url:
    url: str = field(metadata={"help": "Address of the service, like https://hashes.example", "metavar": "URL"})


@dataclass
class HashdbConfig(CollaborationConfigWithDefaults, _Url):
    """One service; an installation can have several."""

    api: str = field(init=False, default=NAME)


@dataclass
class HashdbCredentials(auth.CredentialHelper):
    """The secret of a key; for several services, comma-separated pairs of `url=secret`."""

    ENV_VARIABLE: ClassVar[str] = "TX_HASHDB_KEY"
    FILE_NAME: ClassVar[str] = "~/.tx_hashdb_key"

    key: str = field(metadata={"help": "Secret of the key (scope feed); for several services: url=secret,url=secret"})

    @classmethod
    def _from_str(cls, s: str) -> Self:
        return cls(s.strip())

    def _are_valid(self) -> bool:
        return "hdb_" in self.key

    def for_url(self, url: str) -> str:
        """The secret for a service; empty if there is none for it."""
        if self.key.startswith("hdb_"):
            return self.key
        pairs = (pair.rpartition("=") for pair in self.key.split(","))
        return next((secret for address, _, secret in pairs if address.strip().rstrip("/") == url.rstrip("/")), "")


@dataclass
class HashdbCheckpoint(FetchCheckpointBase):
    """The last seq that was read from the log with this epoch; stale if the service has another log now."""

    after: int
    epoch: str
    fetched_at: int = field(default_factory=lambda: int(time.time()))
    stale: bool = False

    def is_stale(self) -> bool:
        """Whether the stored records must be deleted and fetched again."""
        return self.stale

    def get_progress_timestamp(self) -> int:
        """The time of the last fetch, in seconds since 1970."""
        return self.fetched_at


@dataclass
class HashdbContribution:
    """The stored fields of a contribution."""

    id: int
    member: str
    is_mine: bool
    signals: list[str]
    labels: list[str]
    standing: str
    vpdq: str = ""
    passages: str = ""


@dataclass
class HashdbMetadata(FetchedSignalMetadata):
    """The contributions that have a value. A record of the feed holds a single contribution."""

    contributions: list[HashdbContribution]

    def get_as_opinions(self) -> list[SignalOpinion]:
        """The opinion of each contributor; a disputed contribution adds a negative one."""
        opinions = []
        for contribution in self.contributions:
            labels = set(contribution.labels)
            opinions.append(SignalOpinion(contribution.is_mine, SignalOpinionCategory.POSITIVE_CLASS, labels))
            if contribution.standing == "disputed":
                opinions.append(SignalOpinion(False, SignalOpinionCategory.NEGATIVE_CLASS, set()))
        return opinions

    def __str__(self) -> str:
        opinion = self.get_as_aggregate_opinion()
        members = ",".join(sorted({contribution.member for contribution in self.contributions}))
        return f"{opinion.category.name} {','.join(sorted(opinion.tags))} ({members})"
