"""What is pasted into the match debugger: a signal a line, those of a transform after its name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from hashdb.domain.signals import Signal
from hashdb.errors import Fault, InvalidInput

LINES = 500
_NAME_LENGTH = 40


def read_lines(text: str) -> dict[str, tuple[Signal, ...]]:
    """The signals by the name of their transform, empty for the thing itself. Raises InvalidInput with every fault."""
    lines = [line.strip() for line in text.replace(",", "\n").splitlines()]
    sides: dict[str, list[Signal]] = defaultdict(list)
    faults = []
    for place, line in enumerate(lines, 1):
        name, _, signal = line.rpartition(" ")
        if not line:
            continue
        try:
            sides[_name(name.strip())].append(Signal.parse(signal.lower()))
        except ValueError as error:
            faults.append(Fault("signals", f"line {place}: {error}"))
    if not any(sides.values()) and not faults:
        faults.append(Fault("signals", "are required: one a line, like phash:d1c4b2a09f8e7d6c"))
    if len(lines) > LINES:
        faults.append(Fault("signals", f"take at most {LINES} lines"))
    if faults:
        raise InvalidInput(tuple(faults))
    return {name: tuple(dict.fromkeys(found)) for name, found in sides.items()}


def spell_lines(sides: Mapping[str, tuple[Signal, ...]]) -> str:
    """The inverse of `read_lines`."""
    return "\n".join(f"{name} {signal}".strip() for name, found in sides.items() for signal in found)


def _name(text: str) -> str:
    if len(text) > _NAME_LENGTH or not text.isprintable():
        raise ValueError("what stands before the signal is no name of a transform")
    return text
