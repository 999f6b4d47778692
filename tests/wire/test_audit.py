"""Events on the wire: what anyone needs to verify the leaf, and nothing else."""

from __future__ import annotations

import hashlib
import json

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.audit import Action, Event, leaf
from hashdb.wire.audit import EventOut
from tests.wire.strategies import ids, moments

_details = st.dictionaries(
    st.sampled_from(["member", "labels", "basis"]),
    st.none() | st.integers(0, 2**53 - 1) | st.text("abc_é", max_size=9) | st.lists(st.text("abc", max_size=3)),
)


@st.composite
def _events(draw: st.DrawFn) -> Event:
    seq, id, at, details, action = draw(ids), draw(ids), draw(moments), draw(_details), draw(st.sampled_from(Action))
    told = leaf(seq, at, "key:9", action, f"contribution:{id}", details)
    return Event(seq, at, "key:9", action, "contribution", id, details, told)


@given(_events())
def test_without_its_leaf_an_event_is_what_the_leaf_is_the_hash_of(event: Event) -> None:
    said = json.loads(EventOut.of(event).json_text())
    told = said.pop("leaf")
    assert hashlib.sha256(b"\x00" + rfc8785.dumps(said)).hexdigest() == told
