"""Refusals: why a request was turned away before anything was done."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why nothing was opened: there was no key that is valid, or not for this."""

    NO_KEY = "no-key"
    UNKNOWN_KEY = "unknown-key"
    EXPIRED_KEY = "expired-key"
    REVOKED_KEY = "revoked-key"
    SCOPE_MISSING = "scope-missing"
    MEMBER_SUSPENDED = "member-suspended"
    FORM_REFUSED = "form-refused"
    UNKNOWN_USER = "unknown-user"
