"""Configuration of a member's side: the address, the key and the home, from the environment or a file of the user."""

from __future__ import annotations

import os
import re
import shlex
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from hashdb.domain.spelling import did_you_mean
from hashdb.errors import BadSetting, os_reason

FIELDS = ("url", "key", "key_file", "home")
"""The fields of the user's file. HASHDB_<NAME> in the environment overrides each."""
_EXAMPLES = {"url": "https://hashdb.example", "key": "hdb_…", "key_file": "hashdb.key", "home": "~/hashdb-data"}
_SECRET = re.compile(r"hdb_[A-Za-z0-9_-]+")
_SOCKET = "unix:"
"""How the address of a sidecar's Unix socket begins. A sidecar needs no key."""
_QUOTES = ("'", '"', "\u2018", "\u201c")
"""Quotes that are often copied together with a value."""
_LARGEST = 64 * 1024
"""The most bytes of the user's file, or of a file with a key."""


@dataclass(frozen=True, slots=True)
class SettingValue:
    """A value, and where it is set."""

    value: str = field(repr=False)
    setting: str
    """How errors name the place, like `HASHDB_URL` or `url in ~/.config/hashdb.toml`."""


_DEFAULT_URL = SettingValue("http://127.0.0.1:8000", "HASHDB_URL, which is not set")
_DEFAULT_HOME = SettingValue("hashdb-data", "HASHDB_HOME, which is not set")


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings of the environment and of the user's file, for the programs of a member's side.

    `of_file` and `of_environment` have the settings of each by field; see `FIELDS`.
    """

    file: Path
    """The user's file, whether it exists or not."""
    of_file: Mapping[str, SettingValue]
    of_environment: Mapping[str, SettingValue]

    @classmethod
    def read(cls) -> Self:
        """The configuration of this process. Raises BadSetting if the file is malformed."""
        file = _path_of_file()
        is_there = os.environ.get("HASHDB_CONFIG") or os.path.isfile(file)
        return cls(file, _read_file(file) if is_there else {}, _read_environment())

    @property
    def home(self) -> SettingValue:
        """The folder of the local copy."""
        return self.of_environment.get("home") or self.of_file.get("home") or _DEFAULT_HOME

    @property
    def url(self) -> SettingValue:
        """The address of the service. Raises BadSetting if it cannot be one."""
        url = self.of_environment.get("url") or self.of_file.get("url") or _DEFAULT_URL
        if reason := _url_fault(url.value):
            raise BadSetting(url.setting, reason)
        return url

    def key(self) -> SettingValue:
        """The secret of the key.

        Raises BadSetting if there is no key, if it is malformed, or if the key of the file is for another service. The
        error never shows the secret.
        """
        key = _read_key(self.of_environment)
        if key is not None:
            return key
        if (key := _read_key(self.of_file)) is None:
            if self.url.value.startswith(_SOCKET):
                return SettingValue("", "no setting: a socket needs none")
            where = f"put the secret of your key there, or name its file in HASHDB_KEY_FILE or in {self.file}"
            raise BadSetting("HASHDB_KEY", f"is not set: {where}")
        key_url = self.of_file.get("url", self.url)
        if key_url.value.rstrip("/").lower() != self.url.value.rstrip("/").lower():
            # The address is from the environment. The key of the file must not be sent to another service.
            raise BadSetting("HASHDB_KEY", f"is not set, and the key in {self.file} is for another service")
        return key


def _path_of_file() -> Path:
    """The path of the user's file, whether it exists or not."""
    if path := os.environ.get("HASHDB_CONFIG"):
        return Path(os.path.expanduser(path))
    folder = os.environ.get("XDG_CONFIG_HOME") or ""
    # The XDG Base Directory Specification requires that a relative path is ignored.
    return Path(folder if os.path.isabs(folder) else os.path.expanduser("~/.config"), "hashdb.toml")


def _read_environment() -> dict[str, SettingValue]:
    """The fields that are set in the environment. An empty variable counts as not set."""
    variables = {name: f"HASHDB_{name.upper()}" for name in FIELDS}
    values = {
        name: SettingValue(os.environ.get(variable, "").strip(), variable) for name, variable in variables.items()
    }
    return {name: setting for name, setting in values.items() if setting.value}


def _read_file(path: Path) -> dict[str, SettingValue]:
    """The fields of the user's file. Relative paths in it are relative to its folder. Raises BadSetting."""
    text, fault = _read(path, str(path))
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadSetting(str(path), f"is not TOML: {error}") from None
    except RecursionError:
        raise BadSetting(str(path), "is not TOML that can be read: its values are nested too deeply") from None
    values: dict[str, SettingValue] = {}
    for name, value in document.items():
        if name not in FIELDS:
            unknown = f"{name!r} is not a field of this file: {', '.join(FIELDS)}"
            raise BadSetting(str(path), unknown + did_you_mean(name, FIELDS))
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            raise BadSetting(f"{name} in {path}", f'must be a text, like {name} = "{_EXAMPLES[name]}"')
        value = value.strip()
        if name in ("home", "key_file"):
            value = os.path.join(path.parent, os.path.expanduser(value))
        values[name] = SettingValue(value, f"{name} in {path}")
    if "key" in values:
        if "key_file" in values:
            raise BadSetting(str(path), "has both key and key_file: keep one of them")
        if fault:
            raise BadSetting(values["key"].setting, fault)
    return values


def _read_key(values: Mapping[str, SettingValue]) -> SettingValue | None:
    """The key of these fields: `key`, else the content of `key_file`, else None. Raises BadSetting."""
    key = values.get("key")
    if key is None and (file := values.get("key_file")):
        setting = f"{file.setting} ({file.value})"
        text, fault = _read(Path(os.path.expanduser(file.value)), setting)
        if fault:
            raise BadSetting(setting, fault)
        key = SettingValue(text.strip(), setting)
    if key is not None and (reason := _key_fault(key.value)):
        raise BadSetting(key.setting, reason)
    return key


def _read(path: Path, setting: str) -> tuple[str, str]:
    """The text of a file, and the reason why it must not hold a secret (empty if it may). Raises BadSetting."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            octets = file.read(_LARGEST + 1)
    except OSError as error:
        raise BadSetting(setting, f"cannot be read: {os_reason(error)}") from None
    if len(octets) > _LARGEST:
        raise BadSetting(setting, f"is too large: {path} has more than {_LARGEST} bytes")
    try:
        text = octets.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadSetting(setting, "is not UTF-8") from None
    mode = stat.S_IMODE(status.st_mode)
    # Only for a file of this user, as ssh does: whoever mounted a file of another owner, such as a secret of a
    # container, has decided who may read it.
    if mode & 0o077 and status.st_uid == os.geteuid():
        return text, f"others can read it (mode {mode:04o}): run chmod 600 {shlex.quote(str(path))}"
    return text, ""


def _key_fault(key: str) -> str | None:
    """Why this is not the secret of a key; None if it is one. The reason never shows the secret."""
    if _SECRET.fullmatch(key):
        return None
    if key[:1] in _QUOTES:
        return "has quotes around the secret: remove them"
    if key.lower().startswith("bearer"):
        return "begins with Bearer: give only the secret"
    if key.isdecimal():
        return "is the id of a key: give its secret, which begins with hdb_"
    if len(key.split()) > 1:
        return "contains more than the secret: give only the secret, as `hashdb key add` prints it on the last line"
    if key.startswith("hdb_"):
        return "contains invalid characters: copy the secret again"
    return "is not the secret of a key: a secret begins with hdb_" if key else "is empty"


def _url_fault(url: str) -> str | None:
    """Why this is not the address of a service; None if it is one."""
    if url[:1] in _QUOTES:
        return "has quotes around the address: remove them"
    if url.startswith(_SOCKET) and len(url) > len(_SOCKET):
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "is not an address: write it like https://hashdb.example"
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable() or " " in url:
        return "must be an address like https://hashdb.example"
    if "@" in parts.netloc:
        return "has a user or a password: hashdb sends only the key, so leave them out"
    if parts.query or parts.fragment:
        return "has ? or #: give the root of the service, like https://hashdb.example"
    last = parts.path.rstrip("/").rpartition("/")[2]
    if last in ("v1", "console", "openapi.json", "healthz", "readyz", "metrics") or "/v1/" in parts.path:
        return f"has the path {parts.path}: give the root of the service, like https://hashdb.example"
    return None
