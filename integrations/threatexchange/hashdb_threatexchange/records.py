"""What is kept of a hashdb service: its address and key, how far it was read, and each contribution."""

# The command line reads the types of these fields as they stand: not `from __future__ import annotations` here.
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
    """One service; configure as many as there are."""

    api: str = field(init=False, default=NAME)


@dataclass
class HashdbCredentials(auth.CredentialHelper):
    """A key's secret; or one for each of several services, written as url=secret, separated by commas."""

    ENV_VARIABLE: ClassVar[str] = "TX_HASHDB_KEY"
    FILE_NAME: ClassVar[str] = "~/.tx_hashdb_key"

    key: str = field(metadata={"help": "Secret of the key (scope feed); of several services: url=secret,url=secret"})

    @classmethod
    def _from_str(cls, s: str) -> Self:
        return cls(s.strip())

    def _are_valid(self) -> bool:
        return "hdb_" in self.key

    def for_url(self, url: str) -> str:
        """The secret for a service; empty where none is named for it."""
        if self.key.startswith("hdb_"):
            return self.key
        pairs = (pair.rpartition("=") for pair in self.key.split(","))
        return next((secret for named, _, secret in pairs if named.strip().rstrip("/") == url.rstrip("/")), "")


@dataclass
class HashdbCheckpoint(FetchCheckpointBase):
    """Up to which number of which log all is known; one of a log that was set back is stale."""

    after: int
    epoch: str
    fetched_at: int = field(default_factory=lambda: int(time.time()))
    stale: bool = False

    def is_stale(self) -> bool:
        """Whether what is kept is to be dropped, and read again from the beginning."""
        return self.stale

    def get_progress_timestamp(self) -> int:
        """When it was read."""
        return self.fetched_at


@dataclass
class HashdbContribution:
    """What is kept of a contribution."""

    id: int
    member: str
    is_mine: bool
    signals: list[str]
    labels: list[str]
    standing: str


@dataclass
class HashdbMetadata(FetchedSignalMetadata):
    """The contributions of a value; of what was fetched, one."""

    contributions: list[HashdbContribution]

    def get_as_opinions(self) -> list[SignalOpinion]:
        """What each contributor says; of a disputed contribution also the contrary."""
        said = []
        for one in self.contributions:
            said.append(SignalOpinion(one.is_mine, SignalOpinionCategory.POSITIVE_CLASS, set(one.labels)))
            if one.standing == "disputed":
                said.append(SignalOpinion(False, SignalOpinionCategory.NEGATIVE_CLASS, set()))
        return said

    def __str__(self) -> str:
        opinion = self.get_as_aggregate_opinion()
        members = ",".join(sorted({one.member for one in self.contributions}))
        return f"{opinion.category.name} {','.join(sorted(opinion.tags))} ({members})"
