"""Seeds: their text form, and that none is shown by accident."""

from __future__ import annotations

import pytest

from hashdb.domain.seeds import SEED_BYTES, Seed

SEED = Seed(7, bytes(range(SEED_BYTES)))


def test_a_seed_survives_its_text_form_and_hides_in_its_representation() -> None:
    assert Seed.parse(SEED.to_text()) == SEED
    for text in (repr(SEED), str(SEED), f"{(SEED,)}"):
        assert SEED.octets.hex() not in text and repr(SEED.octets) not in text


@pytest.mark.parametrize(
    "text", ["", "7", "7:", "7:00", f"x:{'0' * 64}", f"7:{'0' * 62} 0", f"7:{'g' * 64}", f"-7:{'0' * 64}"]
)
def test_what_is_no_seed_is_refused_without_a_quotation(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is not a seed$"):
        Seed.parse(text)
