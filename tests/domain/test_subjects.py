"""What has an id, and how people write it."""

from __future__ import annotations

import pytest

from hashdb.domain.subjects import read_id


@pytest.mark.parametrize(
    ("shown", "read"),
    [
        ("17", (None, 17)),
        ("#17", (None, 17)),
        (" 17 ", (None, 17)),
        ("contribution 17", ("contribution", 17)),
        ("Contribution #17:", ("contribution", 17)),
        ("contribution:17", ("contribution", 17)),
        ("benign entry 3", ("entry", 3)),
        ("benign:3", ("entry", 3)),
        ("https://hashes.example/console/contributions/17?page=2", ("contribution", 17)),
        ("https://hashes.example/console/cases/3", ("case", 3)),
        ("https://hashes.example/console/users/3", ("user", 3)),
        ("/console/cases/3", ("case", 3)),
        ("report 3", ("report", 3)),
        ("batches 3", ("batch", 3)),
        ("seventeen", None),
        ("sentence 17", None),
        ("-17", None),
        ("1.7", None),
        ("\u0661\u0667", None),
        ("contribution 17 18", None),
        ("17 contribution", None),
    ],
)
def test_an_id_is_read_as_it_is_shown(shown: str, read: tuple[str | None, int] | None) -> None:
    assert read_id(shown) == read
