"""Settings of a member's side, and how settings are read from the environment.

The settings of the service are in `hashdb.settings`, so that `hashdb match` does not load them: that would take a tenth
of the time of its start.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from hashdb.configuration import FIELDS, Configuration
from hashdb.domain.signals import OF_PICTURES, Algorithm
from hashdb.errors import BadPolicy, BadSetting, os_reason

if TYPE_CHECKING:
    # At run time, only `read_policy` imports it.
    from hashdb.domain.ledger.policies import Policy

MEGABYTE = 1024 * 1024
MOST_DAYS = 36_500
"""Maximum days of a retention."""


def from_text(parse: Callable[[str], object]) -> BeforeValidator:
    """A validator that parses the text of an environment variable. Values that are not text are left as they are."""
    return BeforeValidator(lambda value: parse(value) if isinstance(value, str) else value)


def items_of(text: str) -> list[str]:
    """The items of a list in which commas separate them, without white space around them and without empty items."""
    return [item for item in map(str.strip, text.split(",")) if item]


def parse_algorithm(name: str) -> Algorithm:
    """The algorithm of pictures with this name. Raises ValueError for any other name."""
    if name not in OF_PICTURES:
        raise ValueError(f"{name!r} is not an algorithm: {', '.join(OF_PICTURES)}")
    return Algorithm(name)


def _parse_algorithms(text: str) -> tuple[Algorithm, ...]:
    names = items_of(text)
    if not names:
        raise ValueError("must have at least one algorithm")
    return tuple(dict.fromkeys(map(parse_algorithm, names)))


class MemberSettings(BaseModel):
    """The settings of a member. Each field is the environment variable HASHDB_<NAME>."""

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)
    pattern_reasons: ClassVar[Mapping[str, str]] = {
        "REMEMBER_WEBHOOK": "must be a URL without a user and without #, like http://127.0.0.1:9000/late-matches",
    }
    """By the name of a setting with a pattern, without HASHDB_: the reason for a value that does not match it."""

    home: Path = Field(
        default=Path("hashdb-data"),
        description="Folder of the SQLite database, the index, the signing key, the checkpoints and the locks.",
    )
    algorithms: Annotated[tuple[Algorithm, ...], from_text(_parse_algorithms)] = Field(
        default=(Algorithm.PDQ, Algorithm.PHASH256, Algorithm.PHASH),
        description="Algorithms of pictures that the service accepts and computes, separated by commas.",
    )
    media_max_bytes: int = Field(default=20 * MEGABYTE, ge=1024, description="Largest picture in bytes.")
    media_max_pixels: int = Field(
        default=50_000_000, ge=64, description="Largest picture in pixels, before it is decoded."
    )
    media_seconds: float = Field(
        default=10.0, gt=0, le=86_400, description="Seconds that hashing one picture may take."
    )
    media_memory: int = Field(
        default=1536 * MEGABYTE,
        ge=64 * MEGABYTE,
        le=MEGABYTE * MEGABYTE,
        description="Memory for hashing one picture, in bytes.",
    )
    url: str = Field(default="http://127.0.0.1:8000", description="(member's side) URL of the service.")
    key: SecretStr | None = Field(
        default=None, description="(member's side) Secret of the key. Takes precedence over `HASHDB_KEY_FILE`."
    )
    key_file: Path | None = Field(
        default=None, description="(member's side) File with the secret of the key, which only its owner can read."
    )
    config: Path | None = Field(
        default=None,
        description="(member's side) The [file of the member](cli.md#configuration). By default"
        " `~/.config/hashdb.toml`.",
    )
    remember_days: int = Field(
        default=90, ge=1, le=MOST_DAYS, description="(member's side) Days for which uploads are remembered."
    )
    remember_webhook: str | None = Field(
        default=None,
        pattern=r"^https?://[^/?#@\s]+(/[^#\s]*)?$",
        description="(member's side) URL to which look-back sends its reports. By default none.",
    )
    remember_secret_file: Path | None = Field(
        default=None,
        description="(member's side) File of the secret that signs these reports. By default it is made in the home.",
    )

    witnesses: Path | None = Field(
        default=None,
        description="File of the policy of witnesses (C2SP tlog-policy). The service asks those that have a URL to"
        " cosign each checkpoint; a member's side requires the quorum.",
    )
    quorum: Path | None = Field(
        default=None,
        description="File of the policy of organisations (C2SP tlog-policy) that sign the root of the active set. The"
        " service accepts their signatures; a member's side matches only what the quorum signed.",
    )

    def witness_policy(self) -> Policy | None:
        """The policy of HASHDB_WITNESSES; None if it is not set. Raises BadSetting."""
        return None if self.witnesses is None else read_policy("HASHDB_WITNESSES", self.witnesses)

    @property
    def copy_folder(self) -> Path:
        """The folder of the local copy."""
        return self.home / "local"

    def organisation_policy(self) -> Policy | None:
        """The policy of HASHDB_QUORUM; None if it is not set. Raises BadSetting."""
        return None if self.quorum is None else read_policy("HASHDB_QUORUM", self.quorum)

    @classmethod
    def of_member(cls) -> Self:
        """As `read`, but a home that the environment does not have is from the member's file. Raises BadSetting."""
        return cls.read(home=Path(Configuration.read().home.value))

    @classmethod
    def read(cls, **given: Any) -> Self:
        """The settings of the environment, overridden by `given`. Raises BadSetting for the first invalid one."""
        try:
            return cls(**given)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            name = "".join(map(str, first["loc"][:1])).upper()
            reason = _reason(name, first, cls.pattern_reasons)
            # A validator of several settings together raises an error without a location. Its text begins with the name
            # of a setting.
            raise BadSetting(f"HASHDB_{name}" if name else re.split(r"\W", reason)[0], reason) from None

    @field_validator("*", mode="before")
    @classmethod
    def _check_text(cls, value: Any, field: ValidationInfo) -> Any:
        """Reject an empty path, which would be the current folder, and a text other than a path that is not UTF-8."""
        if isinstance(value, str):
            assert field.field_name is not None
            is_path = cls.model_fields[field.field_name].annotation in (Path, Path | None)
            if is_path and not value:
                raise ValueError("is empty: name a file, or do not set it")
            try:
                value.encode("utf-8", "surrogateescape" if is_path else "strict")
            except UnicodeEncodeError:
                raise ValueError("is not UTF-8") from None
        return value

    @field_validator(
        "remember_webhook", "console_url", "otlp_endpoint", "oidc_issuer", "public_url", check_fields=False
    )
    @classmethod
    def _require_host(cls, value: str | None, field: ValidationInfo) -> str | None:
        """Reject a URL whose host or port is none; its pattern does not look so closely."""
        try:
            parts = urlsplit("http://host" if value is None else value)
            is_url = bool(parts.hostname) and parts.port != 0
        except ValueError:
            is_url = False
        if not is_url:
            raise ValueError(cls.pattern_reasons[str(field.field_name).upper()])
        return value

    @model_validator(mode="before")
    @classmethod
    def _add_environment(cls, given: dict[str, Any]) -> dict[str, Any]:
        """The given settings by field, and those of the environment that are not given."""
        environment = {name.lower(): value for name, value in os.environ.items()}
        in_environment = {
            name: environment[f"hashdb_{name}"] for name in cls.model_fields if f"hashdb_{name}" in environment
        }
        # As for `Configuration`, an empty variable of these is not set.
        for name in ("config", *FIELDS):
            if not in_environment.get(name, "").strip():
                in_environment.pop(name, None)
        return in_environment | given


# The reason by the type of pydantic's error, or by the part of the type before the first `_`. The names in braces are
# in the context of the error.
_REASONS = {
    "int": "must be a whole number",
    "float": "must be a number",
    "finite": "must be a number",
    "bool": "must be true or false",
    "literal": "must be one of {expected}",
    "enum": "must be one of {expected}",
    "greater_than": "must be more than {gt:n}",
    "greater_than_equal": "must be at least {ge:n}",
    "less_than_equal": "must be at most {le:n}",
    "string_too_long": "must have at most {max_length} characters",
}


def _reason(name: str, error: Any, pattern_reasons: Mapping[str, str]) -> str:
    """The reason why the setting with this name is invalid, from an error in `ValidationError.errors`."""
    kind, context = error["type"], error.get("ctx", {})
    if kind in ("value_error", "string_pattern_mismatch"):
        return str(context["error"]) if "error" in context else pattern_reasons[name]
    sentence = _REASONS.get(kind) or _REASONS.get(kind.partition("_")[0])
    return sentence.format(**context) if sentence else str(error["msg"])


def read_policy(setting: str, path: Path, *, quorum: str | None = None) -> Policy:
    """The policy in a file that a setting, or an option, names. Raises BadSetting with the number of the line.

    `quorum` names the quorum of a file that has no line `quorum`.
    """
    from hashdb.domain.ledger.policies import Policy

    try:
        return Policy.parse(path.read_text("utf-8"), quorum)
    except OSError as error:
        reason = f"{path} cannot be read: {os_reason(error)}"
    except UnicodeDecodeError:
        reason = f"{path} is not UTF-8"
    except BadPolicy as error:
        reason = f"{path}: {error}"
    raise BadSetting(setting, reason)
