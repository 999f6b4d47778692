"""hashdb match: queries for an older service."""

from __future__ import annotations

from hashdb.cli.matching.match import for_version_0_1_0
from hashdb.domain.matching.matches import Query
from tests.builders import signal, signature


def test_a_query_for_version_0_1_0_has_no_signatures_and_32_transforms() -> None:
    transforms = {f"view-{number}": (signal(number), signal(100 + number)) for number in range(40)}
    query = Query((signal(1),), transforms=transforms, signatures={"whole": (signature(1),)})
    sent = for_version_0_1_0(query)
    assert (sent.signals, sent.signatures) == (query.signals, {})
    assert list(sent.transforms.items()) == list(transforms.items())[:32]
