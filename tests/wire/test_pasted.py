"""Text that a person pastes into the match debugger."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.frames import Frame
from hashdb.domain.matching.matches import Query
from hashdb.domain.signals import Algorithm, Signal
from hashdb.errors import InvalidInput
from hashdb.wire.pasted import LINES as MAX_LINES
from hashdb.wire.pasted import format_hash_lines, parse_hash_lines, parse_item, with_algorithms
from tests.builders import signal, signature
from tests.wire.strategies import CONTEXT

FRAMES = [
    {"at": 0.0, "quality": 90, "signals": [str(signal(1))]},
    {"at": 1.5, "quality": 40, "signals": [str(signal(2))]},
]
VIDEO = {"signals": [str(signal(3, Algorithm.MD5))], "frames": FRAMES, "duration": 3.0}
QUERY = Query(
    (signal(3, Algorithm.MD5),), frames=(Frame(0.0, (signal(1),), 90), Frame(1.5, (signal(2),), 40)), duration=3.0
)
VPDQ_TEXT = "".join(f"{place},{90 - place},{signal(place + 1).value:064x},{place}.000\n" for place in range(3))


@pytest.mark.parametrize(
    "pasted",
    [
        VIDEO,
        {"queries": [VIDEO]},
        [VIDEO | {"path": "clip.mp4", "quality": None, "incomplete": "only 2 frames could be read"}],
    ],
)
def test_a_video_is_read_in_the_forms_of_the_api_and_of_the_command_line(pasted: object) -> None:
    assert parse_item(json.dumps(pasted, indent=1), CONTEXT) == QUERY


@pytest.mark.parametrize(
    "pasted", [VPDQ_TEXT, json.dumps([f"{signal(place + 1).value:064x},{90 - place},{place}" for place in range(3)])]
)
def test_a_video_is_read_in_both_forms_of_vpdq(pasted: str) -> None:
    frames = tuple(Frame(float(place), (signal(place + 1),), 90 - place) for place in range(3))
    assert parse_item(pasted, CONTEXT) == Query((), frames=frames, duration=3.0)


def test_a_list_of_signals_is_not_read_as_a_video() -> None:
    text = f"{signal(1)}\nmirror {signal(2)}, {signal(3)}"
    assert parse_item(text, CONTEXT) is None


@pytest.mark.parametrize(
    ("pasted", "reason"),
    [
        ('{"frames": [', "damaged or cut short"),
        ("[" * 100_000, "damaged or cut short"),
        ("[]", "have no `frames`"),
        ("[1, 2]", "have no `frames`"),
        (json.dumps({"queries": [VIDEO, VIDEO]}), "have no `frames`"),
        (json.dumps(VIDEO | {"duration": None}), "frames"),
        (json.dumps(VIDEO | {"duration": 1.0}), "frames[1].at must be at most the duration"),
        (json.dumps(VIDEO | {"frames": [FRAMES[0], FRAMES[0]]}), "frames[1].at must be later"),
        (json.dumps(VIDEO | {"duration": float("nan")}), "damaged or cut short"),
        (json.dumps(VIDEO | {"colour": "red"}), "colour"),
        (f"0,90,{signal(1).value:064x},x", "is not vPDQ"),
    ],
)
def test_an_invalid_video_is_rejected_with_the_reason(pasted: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as error:
        parse_item(pasted, CONTEXT)
    assert {fault.at for fault in error.value.faults} == {"signals"}
    assert reason in str(error.value)


SIGNALS = st.builds(Signal, st.just(Algorithm.PHASH), st.integers(0, 2**64 - 1))
VIEWS = st.dictionaries(
    st.sampled_from(["", "mirror", "turned left"]), st.lists(SIGNALS, min_size=1, unique=True).map(tuple), min_size=1
)


@given(VIEWS)
def test_a_formatted_query_is_parsed_to_the_same_query(views: dict[str, tuple[Signal, ...]]) -> None:
    query = Query(views.pop("", ()), transforms=views)
    assert parse_hash_lines(format_hash_lines(query)) == query


def test_signatures_can_be_pasted_beside_signals() -> None:
    query = Query(
        (signal(1),),
        transforms={"mirror": (signal(2),)},
        signatures={"whole": (signature(1),), "mirror": (signature(2),)},
    )
    assert parse_hash_lines(format_hash_lines(query)) == query
    assert parse_hash_lines(f"{signature(1)}, {signal(1)}") == Query(
        (signal(1),), signatures={"whole": (signature(1),)}
    )
    assert parse_hash_lines(f"whole {signal(1)}, {signal(2)}, {signal(1)}") == Query((signal(1), signal(2)))
    with pytest.raises(InvalidInput, match="line 2: detail needs 256 hex digits, got 2"):
        parse_hash_lines(f"{signal(1)}\ndetail:00")
    with pytest.raises(InvalidInput, match="must be at most 64 signatures"):
        parse_hash_lines("\n".join([str(signal(1)), *(str(signature(seed)) for seed in range(65))]))


def test_upper_case_spaces_commas_and_blank_lines_are_accepted() -> None:
    first, second = signal(1), signal(2)
    text = f"  {str(first).upper()}\r\n\n{second}, mirror {first}\n{first}"
    assert parse_hash_lines(text) == Query((first, second), transforms={"mirror": (first,)})


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "are required"),
        (" \n ", "are required"),
        ("pdq:12", "line 1: pdq needs 64 hex digits, got 2"),
        (f"{signal(1)}\nnonsense", "line 2: must be algorithm:hex"),
        (f"{'x' * 41} {signal(1)}", "line 1: the word before the signal"),
        ("\n" * MAX_LINES + str(signal(1)), "must be at most"),
    ],
)
def test_an_invalid_line_is_rejected_with_its_number(text: str, reason: str) -> None:
    with pytest.raises(InvalidInput) as error:
        parse_hash_lines(text)
    assert any(fault.at == "signals" and reason in fault.reason for fault in error.value.faults)


HEX = f"{signal(1).value:064x}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (HEX, f"pdq:{HEX}\nsha256:{HEX}"),
        (f" 0x{HEX.upper()} ", f"pdq:{HEX}\nsha256:{HEX}"),
        (f"mirror pdq:{HEX}, phash:{HEX[:16]}", f"mirror pdq:{HEX}\nphash:{HEX[:16]}"),
        ("pdq:12", "pdq:12"),
        ('{"frames": []}', '{"frames": []}'),
        (f"{HEX}\nAlpha", None),
        (HEX[:20], None),
        ("CI:riverside", None),
        ("", None),
    ],
)
def test_bare_hashes_get_their_algorithms_and_other_text_is_not_a_query(text: str, expected: str | None) -> None:
    assert with_algorithms(text, (Algorithm.PDQ, Algorithm.PHASH, Algorithm.SHA256)) == expected


def test_lines_beyond_the_limit_are_not_read() -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_hash_lines("x\n" * 1_000_000)
    (fault,) = refused.value.faults
    assert (fault.reason, refused.value.omitted) == (f"must be at most {MAX_LINES} lines", 0)
