"""What is wrong with drafts that a validator does not come to tell beside other faults."""

from __future__ import annotations

import json
from collections.abc import Iterator

from pydantic import ValidationError

from hashdb.domain.benign import REFUSAL
from hashdb.domain.signals import Signal
from hashdb.errors import Fault
from hashdb.wire import Terms, path

QUALITY_NEEDED = "is required with pdq: the picture's quality, 0 to 100, as PDQ gives it"


def hidden(error: ValidationError, text: bytes, terms: Terms) -> Iterator[Fault]:
    """What the validator does not come to tell beside other faults."""
    faulty = {one["loc"][1:4] for one in error.errors(include_url=False) if one["loc"][:1] == ("contributions",)}
    try:
        drafts = json.loads(text)["contributions"]
    except (ValueError, KeyError, TypeError):
        return
    for position, draft in enumerate(drafts) if isinstance(drafts, list) else ():
        signals = draft.get("signals") if isinstance(draft, dict) else None
        if not isinstance(signals, list):
            continue
        # A signal that is itself faulty hides that the quality is missing.
        if (
            not terms.imported
            and draft.get("quality") is None
            and any(place[:2] == (position, "signals") for place in faulty)
        ):
            if any(isinstance(one, str) and one.startswith("pdq:") for one in signals):
                yield Fault(path(("contributions", position, "quality")), QUALITY_NEEDED)
        sound = {place: _sound(one) for place, one in enumerate(signals) if (position, "signals", place) not in faulty}
        touched = terms.touched([one for one in sound.values() if one]) if terms.touched else ()
        yield from (
            Fault(path(("contributions", position, "signals", place)), REFUSAL)
            for place, one in sound.items()
            if one in touched
        )


def _sound(text: object) -> Signal | None:
    """The signal that a text spells, if it does."""
    try:
        return Signal.parse(text) if isinstance(text, str) else None
    except ValueError:
        return None
