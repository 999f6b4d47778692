"""What has an id, and how people write it."""

from __future__ import annotations

import re

_KINDS = {"case", "contribution", "delivery", "entry", "event", "incident", "key", "member", "opinion", "proposal"}
_KINDS |= {"batch", "report", "seed", "upstream", "user", "webhook"}
"""What has an id, in the words that `hashdb` prints: `contribution 17`; the log has `contribution:17`."""
_PLURALS = {"batches": "batch", "benign": "entry", "deliveries": "delivery"}
_SHOWN = re.compile(r"(?:(?:benign )?(?P<kind>[a-z]+)[ :/]? ?)?#?(?P<id>[0-9]{1,16})[:,;.]?")
_ADDRESS = re.compile(r"(?:https?://[^?#]+)?/(?:[a-z]+/)*(?P<kind>[a-z]+)/(?P<id>[0-9]{1,16})/?(?:[?#].*)?")


def read_id(text: str) -> tuple[str | None, int] | None:
    """The kind and the number of an id as it is shown anywhere; None for any other text.

    `17` and `#17` have no kind; `contribution 17`, `contribution:17` and the address of its page do.
    """
    found = _ADDRESS.fullmatch(text.strip()) or _SHOWN.fullmatch(text.strip().lower())
    if found is None:
        return None
    kind = found["kind"] and _PLURALS.get(found["kind"], found["kind"].removesuffix("s"))
    return (kind, int(found["id"])) if kind is None or kind in _KINDS else None
