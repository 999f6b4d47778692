"""Settings: the environment variables HASHDB_*, read once into one immutable object."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from hashdb.domain.accounts.budgets import Budget
from hashdb.domain.accounts.members import Scope
from hashdb.domain.accounts.users import SessionLifetime
from hashdb.domain.addresses import EgressPolicy, Network
from hashdb.domain.frames import MAX_SECONDS
from hashdb.domain.ledger.notes import is_key_name
from hashdb.domain.ledger.policies import Policy
from hashdb.domain.review.due import address_fault
from hashdb.domain.review.incidents import Retention
from hashdb.domain.rules import Rules
from hashdb.domain.sharing.webhooks import url_fault
from hashdb.domain.signals import Algorithm
from hashdb.domain.stats.counts import MatchLog
from hashdb.domain.vocabulary import Vocabulary
from hashdb.errors import BadSetting, os_reason
from hashdb.member_settings import MEGABYTE, MOST_DAYS, MemberSettings, from_text, items_of, parse_algorithm

_RATE_PATTERN = r"^[1-9][0-9]{0,8}/(second|minute|hour|day)$"
DEFAULT_LABELS = Path(__file__).with_name("labels.toml")


def _parse_index(text: str) -> str:
    return "tiered" if text == "files" else text


def _parse_hosts(text: str) -> frozenset[str]:
    hosts = frozenset(items_of(text.lower()))
    if any("/" in host or "*" in host or not host.isprintable() or " " in host for host in hosts):
        raise ValueError("must be host names, each with its port if it is not the usual one")
    return hosts


def _parse_networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ip_network(network) for network in items_of(text))
    except ValueError:
        raise ValueError("must be networks, like 10.2.0.0/16, separated by commas") from None


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    """The name and the value of each item like `name=value`; the value is empty where an item has no `=`."""
    for item in items_of(text):
        name, _, value = item.partition("=")
        yield name.strip(), value.strip()


def _parse_radii(text: str) -> dict[Algorithm, int]:
    radii: dict[Algorithm, int] = {}
    for name, bits in _pairs(text):
        algorithm = parse_algorithm(name)
        if not re.fullmatch("[0-9]{1,9}", bits) or int(bits) > algorithm.bits:
            raise ValueError(f"must be written as {algorithm}=<bits>, at most {algorithm.bits}")
        radii[algorithm] = int(bits)
    return radii


def _parse_rates(text: str) -> dict[Scope | None, str]:
    """Rates by the scope that a request needs; None: all requests."""
    rates: dict[Scope | None, str] = {}
    for first, second in _pairs(text):
        # An item without a scope is the rate alone.
        name, rate = (first, second) if second else ("", first)
        if name not in ("", *Scope) or not re.fullmatch(_RATE_PATTERN, rate):
            raise ValueError(f"must be like 1000/second or <scope>=50/minute, with a scope of {', '.join(Scope)}")
        rates[Scope(name) if name else None] = rate
    return rates


def _parse_budgets(text: str) -> dict[Budget, int]:
    budgets: dict[Budget, int] = {}
    for name, amount in _pairs(text):
        if name not in set(Budget) or not re.fullmatch("[1-9][0-9]{0,14}", amount):
            raise ValueError(f"must be written as <budget>=<number>, with a budget of {', '.join(Budget)}")
        budgets[Budget(name)] = int(amount)
    return budgets


def _parse_days(text: str) -> dict[str, int]:
    """Days by label."""
    days: dict[str, int] = {}
    for label, count in _pairs(text):
        if not label or not re.fullmatch("[0-9]{1,9}", count) or not 0 < int(count) <= MOST_DAYS:
            raise ValueError(f"must be written as label=<days>, with days from 1 to {MOST_DAYS}")
        days[label] = int(count)
    return days


class Settings(MemberSettings):
    """The settings of an operator, and of a member. Each field is the environment variable HASHDB_<NAME>."""

    pattern_reasons: ClassVar[Mapping[str, str]] = {
        **MemberSettings.pattern_reasons,
        "RATE_LIMIT_ADDRESS": "must be a number per second, minute, hour or day, like 3000/minute",
        "CONSOLE_URL": "must be a URL without a path, like https://hashes.example",
        "OTLP_ENDPOINT": "must be a URL, like http://127.0.0.1:4318",
        "OIDC_ISSUER": "must be a URL, like https://login.example/realms/staff",
        "SMTP_HOST": "must be a host name or an address, like smtp.example",
        "PUBLIC_URL": "must be a URL without ? and #, like https://hashes.example/hashdb",
    }
    """By setting, the reason given for a value that does not match the pattern of the setting."""

    database_url: SecretStr | None = Field(
        default=None,
        description="SQLAlchemy URL of the database, like `postgresql://user@host/hashdb`. By default SQLite in"
        " the home.",
    )
    copy_to: SecretStr | None = Field(
        default=None, description="SQLAlchemy URL of the database to which `hashdb copy-to` copies the service's."
    )
    signing_key_file: Path | None = Field(
        default=None,
        description="File of the private key that signs the log's checkpoints. By default `signing.key` in the home.",
    )
    origin: str | None = Field(
        default=None,
        max_length=200,
        description="Name of the log in its checkpoints, like `hashes.example/log`. It is fixed at the first start.",
    )
    labels: Path = Field(default=DEFAULT_LABELS, description="File of the label vocabulary (TOML).")
    index: Annotated[Literal["tiered", "bktree", "milvus"], from_text(_parse_index)] = Field(
        default="tiered",
        description="Engine of the index: `tiered` (files in the home; `files` is the same), `bktree` (in memory, for"
        " few values), or `milvus` (for more values than one machine's memory holds).",
    )
    milvus_uri: str | None = Field(default=None, description="Address of Milvus, like `http://milvus.example:19530`.")
    milvus_token: SecretStr | None = Field(default=None, description="Token for Milvus, like `user:password`.")
    max_radius: Annotated[dict[Algorithm, int], from_text(_parse_radii)] = Field(
        default={},
        description="Largest radius that a query may ask for, like `pdq=60,phash=10`. The default is the usual"
        " radius of the algorithm; a smaller value has no effect.",
    )
    retention: Annotated[dict[str, int], from_text(_parse_days)] = Field(
        default={},
        description="Days after which contributions expire, by label, like `graphic_violence=365,manifesto=730`.",
    )
    two_persons: bool = Field(
        default=False,
        description="Whether a second person must request the same before a member is suspended, a benign signal is"
        " added, or a contribution is retired.",
    )
    flood_cap: int | None = Field(
        default=None,
        ge=1,
        description="A contribution with more hits than this within an hour, by at least three other members, is"
        " quarantined until a reviewer decides. Has no effect with `HASHDB_MATCH_LOG=counts`.",
    )
    hours_to_decide: float = Field(
        default=72.0,
        gt=0,
        le=8760,
        description="Hours within which a reviewer should decide a case. It is shown as `due_at`; no case is decided"
        " automatically.",
    )
    due_soon: float = Field(
        default=24.0,
        gt=0,
        le=8760,
        description="Hours before its due time at which an open case is reported by webhook and by mail.",
    )
    smtp_host: str | None = Field(
        default=None,
        max_length=253,
        pattern=r"^[A-Za-z0-9.:-]+$",
        description="Mail server to which the service sends its mail, like `smtp.example`. By default the service"
        " sends no mail.",
    )
    smtp_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port of the mail server. By default 587 with `starttls`, 465 with `tls`, 25 with `none`.",
    )
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        default="starttls",
        description="How the connection to the mail server is secured: `starttls`, `tls` from the start, or `none`. A"
        " certificate must be valid for the host.",
    )
    smtp_user: str | None = Field(
        default=None, max_length=200, description="User with which the service signs in at the mail server."
    )
    smtp_password_file: Path | None = Field(
        default=None, description="File of that user's password. It is read for each mail."
    )
    smtp_from: str | None = Field(
        default=None, description="Address from which the service sends mail, like `hashdb@hashes.example`."
    )
    match_log: MatchLog = Field(
        default=MatchLog.HITS,
        description="What the service stores of matches: `hits`, or only `counts`, which do not say which"
        " contribution was returned to which member. With `counts` there are no reversals, no flood guard, and no"
        " times from a contribution to"
        " its first match by another member; keys with the scope `match` alone can neither see nor dispute"
        " contributions of others.",
    )
    busy_seconds: float = Field(
        default=10.0,
        gt=0,
        le=300,
        description="Seconds that a write waits for the database before the service answers 503.",
    )
    drain_seconds: float = Field(
        default=0.0,
        ge=0,
        le=300,
        description="Seconds for which a stopping service answers 503 at `/readyz` and still serves all other requests."
        " Make it longer than the proxy takes to notice.",
    )
    max_body: int = Field(
        default=16 * MEGABYTE,
        ge=1024,
        description="Largest request body in bytes. Media endpoints have their own limits.",
    )
    accept_media: bool = Field(
        default=True, description="Whether the service accepts pictures. If not, members must hash them."
    )
    accept_text: bool = Field(
        default=False,
        description="Whether the service also accepts documents and texts, whose words are personal data. If not,"
        " members must hash them. `hashdb local serve` always accepts them.",
    )
    rate_limit: Annotated[dict[Scope | None, str], from_text(_parse_rates)] = Field(
        default={},
        description="Requests that a key may make, in all or that need a scope, like"
        " `1000/second,contribute=50/minute`. By default no limit.",
    )
    rate_limit_address: str | None = Field(
        default=None,
        pattern=_RATE_PATTERN,
        description="Requests that a network address may make, with or without a key, like `3000/minute`. An IPv6"
        " address counts as its /64. By default no limit.",
    )
    rate_limit_storage: str = Field(
        default="memory://",
        description="Where requests are counted: in each worker (`memory://`), or for all workers in `redis://…`.",
    )
    budgets: Annotated[dict[Budget, int], from_text(_parse_budgets)] = Field(
        default={},
        description="How much of each budget a key may use, like `queries=20000000,disputes=200`. The others keep their"
        " defaults. The larger they are, the more one stolen key can read and write.",
    )
    metrics_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port at which Prometheus reads the metrics without a key. By default `/metrics` needs a key.",
    )
    metrics_host: str = Field(default="127.0.0.1", description="Address of the metrics port.")
    certificate: Path | None = Field(
        default=None, description="File of the proxy's certificate (PEM). The metrics show when it expires."
    )
    media_max_request: int = Field(default=64 * MEGABYTE, ge=1024, description="Largest request of pictures in bytes.")
    media_workers: int = Field(default=1, ge=1, le=64, description="Processes that hash pictures, for each web worker.")
    media_queue: int = Field(default=64, ge=1, description="Pictures that may wait to be hashed, for each web worker.")
    video_max_bytes: int = Field(default=256 * MEGABYTE, ge=1024, description="Largest video in bytes.")
    video_max_seconds: float = Field(
        default=7200.0, gt=0, le=MAX_SECONDS, description="Seconds that the longest video may play."
    )
    video_processing_seconds: float = Field(
        default=120.0, gt=0, le=900, description="Seconds that hashing one video may take."
    )
    video_max_body: int = Field(
        default=64 * MEGABYTE,
        ge=1024,
        description="Largest JSON body in bytes with the frames of videos, to contribute or to match.",
    )
    console_url: str | None = Field(
        default=None,
        max_length=200,
        pattern=r"^https?://[^/\s]+$",
        description="URL of the console for its users. With `https://hashes.example` its cookies are Secure.",
    )
    proxies: int = Field(
        default=0,
        ge=0,
        le=9,
        description="Number of proxies before the service. It trusts their `X-Forwarded-For` and `X-Forwarded-Proto`.",
    )
    behind_tls: bool = Field(
        default=False,
        description="Whether clients reach the service only by TLS. If not, it refuses to listen beyond 127.0.0.1.",
    )
    otlp_endpoint: str | None = Field(
        default=None,
        max_length=200,
        pattern=r"^https?://[^/?#\s]+(/[^?#\s]*)?$",
        description="Address of the OpenTelemetry collector to which traces of requests are sent, like"
        " `http://127.0.0.1:4318`. By default none are sent.",
    )
    session_idle: float = Field(
        default=60.0, ge=1, le=1440, description="Minutes without a request after which a console session ends."
    )
    session_hours: float = Field(
        default=12.0, gt=0, le=720, description="Hours after which a console session ends in any case."
    )
    case_idle: float = Field(
        default=15.0,
        ge=1,
        le=1440,
        description="A case that a reviewer took is free again after this many minutes without use of its page.",
    )
    require_second_factor: bool = Field(
        default=False, description="Whether users with a password must set up a second factor before anything else."
    )
    oidc_issuer: str | None = Field(
        default=None,
        max_length=200,
        pattern=r"^https?://\S+$",
        description="OpenID Connect issuer by which users may sign in, like `https://login.example/realms/staff`.",
    )
    oidc_client_id: str | None = Field(
        default=None, max_length=200, description="Client id of the console at the issuer."
    )
    oidc_client_secret: SecretStr | None = Field(
        default=None, description="Client secret of the console at the issuer."
    )
    oidc_claim: str = Field(
        default="preferred_username", max_length=64, description="Claim that holds the user's name, like `email`."
    )
    interop_label: str | None = Field(
        default=None,
        description="Label of contributions that arrive by the protocol of another system, which has no field for"
        " labels. By default, these protocols can only read.",
    )
    fetch_hosts: Annotated[frozenset[str], from_text(_parse_hosts)] = Field(
        default=frozenset(),
        description="Hosts from which the HMA API may fetch pictures, like `cdn.example,img.example:8443`. By default"
        " none.",
    )
    hma_key: SecretStr | None = Field(
        default=None,
        description="Secret of the key that the HMA API uses for requests without a key. By default they are refused.",
    )
    webhooks: bool = Field(
        default=True, description="Whether members may use webhooks. If not, the service sends none."
    )
    webhook_http: bool = Field(
        default=False,
        description="Whether webhooks, upstreams and witnesses may have `http://` addresses, whose traffic anyone on"
        " the way can read and change.",
    )
    webhook_networks: Annotated[tuple[Network, ...], from_text(_parse_networks)] = Field(
        default=(),
        description="Private networks to which the service may connect for webhooks, upstreams and witnesses, like"
        " `10.2.0.0/16,fd00:1::/64`.",
    )
    public_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/?#\s]+(/[^?#\s]*)?$",
        description="URL at which members reach the service, if it is behind a proxy.",
    )

    @field_validator("hma_key")
    @classmethod
    def _require_key_secret(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not re.fullmatch(r"hdb_[A-Za-z0-9_-]+", value.get_secret_value()):
            raise ValueError("must be the secret of a key, hdb_…, as `hashdb key add` prints it")
        return value

    @field_validator("origin")
    @classmethod
    def _require_name(cls, value: str | None) -> str | None:
        # The origin of a checkpoint is also the name of the key that signs it.
        if value is not None and not is_key_name(value):
            raise ValueError("must be a name without spaces and plus signs")
        return value

    @model_validator(mode="after")
    def _require_all_of_oidc(self) -> Self:
        oidc = (self.oidc_issuer, self.oidc_client_id, self.oidc_client_secret)
        if any(oidc) and not (all(oidc) and self.console_url):
            names = "HASHDB_OIDC_ISSUER, HASHDB_OIDC_CLIENT_ID, HASHDB_OIDC_CLIENT_SECRET and HASHDB_CONSOLE_URL"
            raise ValueError(f"{names} go together: set all four, or none")
        return self

    @field_validator("smtp_from")
    @classmethod
    def _require_address(cls, value: str | None) -> str | None:
        if value is not None and (reason := address_fault(value)):
            raise ValueError(reason)
        return value

    @model_validator(mode="after")
    def _require_all_of_smtp(self) -> Self:
        if self.smtp_host and not (self.smtp_from and self.console_url):
            raise ValueError(
                "HASHDB_SMTP_HOST needs HASHDB_SMTP_FROM and HASHDB_CONSOLE_URL: a mail links to the console"
            )
        if (self.smtp_user is None) is not (self.smtp_password_file is None):
            raise ValueError("HASHDB_SMTP_USER and HASHDB_SMTP_PASSWORD_FILE go together: set both, or none")
        if self.smtp_user is not None and self.smtp_security == "none":
            raise ValueError(
                "HASHDB_SMTP_USER needs HASHDB_SMTP_SECURITY=starttls or tls: anyone could read the password"
            )
        return self

    @property
    def session_lifetime(self) -> SessionLifetime:
        """The maximum idle time and age of a session of the console."""
        return SessionLifetime(timedelta(minutes=self.session_idle), timedelta(hours=self.session_hours))

    @property
    def signing_key(self) -> Path:
        """The file of the private key that signs the log."""
        return self.signing_key_file or self.home / "signing.key"

    @property
    def database(self) -> str:
        """The SQLAlchemy URL of the database."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{(self.home / 'hashdb.sqlite').absolute()}"

    @property
    def largest_body(self) -> int:
        """The largest body in bytes that any route accepts, apart from forms with videos."""
        return max(self.max_body, self.video_max_body, self.media_max_request)

    def vocabulary(self) -> Vocabulary:
        """The label vocabulary of the `labels` file. Raises BadSetting if it is missing or malformed."""
        try:
            return Vocabulary.from_parsed(tomllib.loads(self.labels.read_text("utf-8")))
        except OSError as error:
            reason = f"cannot be read: {self.labels}: {os_reason(error)}"
        except UnicodeDecodeError:
            reason = f"cannot be read: {self.labels} is not UTF-8"
        except tomllib.TOMLDecodeError as error:
            reason = f"cannot be read: {self.labels} is not TOML: {error}"
        except RecursionError:
            reason = f"cannot be read: {self.labels} has values that are nested too deeply"
        except ValueError as error:
            reason = str(error)
        raise BadSetting("HASHDB_LABELS", reason)

    def rules(self) -> Rules:
        """The rules by which the service accepts and matches. Raises BadSetting, also for an unknown label."""
        vocabulary = self.vocabulary()
        for label in self.retention:
            if reason := vocabulary.label_fault(label):
                raise BadSetting("HASHDB_RETENTION", reason)
        if self.interop_label is not None and (fault := vocabulary.label_fault(self.interop_label)):
            raise BadSetting("HASHDB_INTEROP_LABEL", fault)
        egress = EgressPolicy(self.webhook_networks, allows_http=self.webhook_http)
        return Rules(
            self.algorithms,
            vocabulary,
            self.max_radius,
            time_to_decide=timedelta(hours=self.hours_to_decide),
            case_idle=timedelta(minutes=self.case_idle),
            due_soon=timedelta(hours=self.due_soon),
            mails=self.smtp_host is not None,
            retention=Retention(self.retention),
            two_persons=self.two_persons,
            # The database compares it with a number of 32 bits, which no contribution's hits reach.
            flood_cap=None if self.flood_cap is None else min(self.flood_cap, 2**31 - 1),
            budgets=self.budgets,
            webhook_egress=egress if self.webhooks else None,
            egress=egress,
            witnesses=self._checked_witnesses(egress),
            organisations=self.organisation_policy(),
        )

    def _checked_witnesses(self, egress: EgressPolicy) -> Policy | None:
        """The policy of witnesses. Raises BadSetting if the service may not connect to one of their URLs."""
        policy = self.witness_policy()
        for witness in () if policy is None else policy.witnesses:
            if witness.url is not None and (fault := url_fault(witness.url, egress)):
                hint = "see also HASHDB_WEBHOOK_NETWORKS and HASHDB_WEBHOOK_HTTP"
                raise BadSetting("HASHDB_WITNESSES", f"{self.witnesses}: the URL of {witness.name}: {fault} ({hint})")
        return policy
