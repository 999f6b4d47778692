"""Seeds: their text form, and that their repr and errors do not show them."""

from __future__ import annotations

import pytest

from hashdb.domain.seeds import SEED_BYTES, Seed

SEED = Seed(7, bytes(range(SEED_BYTES)))


def test_a_seed_is_parsed_back_and_its_repr_hides_it() -> None:
    assert Seed.parse(SEED.to_text()) == SEED
    for text in (repr(SEED), str(SEED), f"{(SEED,)}"):
        assert SEED.octets.hex() not in text and repr(SEED.octets) not in text


@pytest.mark.parametrize(
    "text", ["", "7", "7:", "7:00", f"x:{'0' * 64}", f"7:{'0' * 62} 0", f"7:{'g' * 64}", f"-7:{'0' * 64}"]
)
def test_a_malformed_seed_is_rejected_without_being_quoted(text: str) -> None:
    with pytest.raises(ValueError, match=r"^is not a seed$"):
        Seed.parse(text)
