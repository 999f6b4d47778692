"""Saved views: the filter and order of a list of the console, which a user keeps under a name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from urllib.parse import parse_qsl, urlencode

MOST_VIEWS: Final = 100
"""The most views of a user."""
LONGEST: Final = 1_000
"""The most characters of a query string that is saved."""
_PLACE: Final = frozenset(("after", "before", "newer", "row", "exact", "form"))
"""Fields that say where a page of the list begins, how it is counted, or how it is exported."""
# What looks like a hash of content, which no table may keep.
_HASH: Final = re.compile(r"[0-9a-fA-F]{16,}")


@dataclass(frozen=True, slots=True)
class ViewDraft:
    """What a user sends to save a view; `page` is the name of the list, `query` the query string of its address."""

    page: str
    name: str
    query: str
    shared: bool = False


@dataclass(frozen=True, slots=True)
class SavedView:
    """A view of a list. Its owner sees it, and if it is `shared` all users do."""

    id: int
    user: int
    user_name: str
    page: str
    name: str
    query: str
    shared: bool
    created_at: datetime


def clean_query(query: str) -> str:
    """The filter and the order of a query string, without the place in the list and without empty fields.

    >>> clean_query("sort=received&label=&severity=4&after=17.3")
    'sort=received&severity=4'
    """
    return urlencode([(name, value) for name, value in parse_qsl(query) if name not in _PLACE])


def query_fault(query: str) -> str | None:
    """Why a view may not have this query, or None."""
    if not query:
        return "has no filter and no order: filter the list first"
    if len(query) > LONGEST:
        return f"must have at most {LONGEST} characters"
    if any(_HASH.search(part) for field in parse_qsl(query) for part in field):
        return "contains a hash: a view cannot be saved with it"
    return None
