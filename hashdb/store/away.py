"""A PostgreSQL that cannot be reached: where it is, and why, without anything secret of its URL."""

from __future__ import annotations

from sqlalchemy import URL, make_url
from sqlalchemy.exc import OperationalError

from hashdb.errors import DatabaseAway, StoreBusy

_REASONS = {
    "authentication failed": "refuses the user or the password of HASHDB_DATABASE_URL",
    "no pg_hba.conf entry": "lets nobody in from here",
    "does not exist": "does not have the database or the user of HASHDB_DATABASE_URL",
    "starting up": "is starting",
    "shutting down": "is ending",
    "too many clients": "has no connection left",
    "connection slots": "has no connection left",
    "resolve host": "does not answer: there is no host of that name",
    "refused": "does not answer: connection refused",
    "timeout": "does not answer: no connection within HASHDB_BUSY_SECONDS",
    "no such file": "does not answer: there is no such socket",
}
"""What the driver's message has in it, which may name the user, and what is said instead."""
_ELSE = "does not answer: see that it runs, and that HASHDB_DATABASE_URL names it"


def told(url: str, busy: StoreBusy, setting: str = "HASHDB_DATABASE_URL") -> DatabaseAway | StoreBusy:
    """The error that says where the database is, where no connection could be made; else the same error.

    `setting` is where the URL stands.
    """
    cause = busy.__cause__
    if not isinstance(cause, OperationalError) or cause.statement is not None:
        return busy
    parsed = make_url(url)
    if parsed.get_backend_name() != "postgresql":
        return busy
    said = str(cause.orig).lower()
    reason = next((reason for part, reason in _REASONS.items() if part in said), _ELSE)
    return DatabaseAway(_where(parsed), reason.replace("HASHDB_DATABASE_URL", setting))


def _where(url: URL) -> str:
    named = url.query.get("host", ()) if url.host is None else ()
    hosts = (named,) if isinstance(named, str) else named
    port = url.query.get("port", "5432") if url.port is None else str(url.port)
    return ", ".join(_address(host, str(port)) for host in hosts or (url.host or "localhost",))


def _address(host: str, port: str) -> str:
    if host.startswith("/") or host.count(":") == 1:
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
