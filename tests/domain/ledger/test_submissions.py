"""The body of add-checkpoint: it is read back as written, and malformed bodies are rejected."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashdb.domain.ledger.checkpoints import Checkpoint
from hashdb.domain.ledger.cosignatures import Submission
from hashdb.domain.ledger.notes import Signer
from hashdb.errors import BadNote

NOTE = Checkpoint("log.example/1", 7, bytes(32)).signed(Signer.new("log.example/1"))
EXAMPLE = Submission(5, (bytes(32), bytes(range(32))), NOTE)


@given(st.integers(0, 10**15), st.lists(st.binary(min_size=32, max_size=32), max_size=63))
def test_a_written_submission_is_read_back(old: int, hashes: list[bytes]) -> None:
    submission = Submission(old, tuple(hashes), NOTE)
    assert Submission.parse(str(submission)) == submission


def test_a_submission_has_the_form_of_the_specification() -> None:
    assert str(EXAMPLE) == (
        f"old 5\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\n{NOTE}"
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "the first line must be `old`"),
        (f"old 05\n\n{NOTE}", "the first line must be `old`"),
        (f"old -1\n\n{NOTE}", "the first line must be `old`"),
        (f"old ٣\n\n{NOTE}", "the first line must be `old`"),
        (f"old 5\r\n\n{NOTE}", "the first line must be `old`"),
        (f"old 5\nAAAA\n\n{NOTE}", "a hash must have 32 octets"),
        (f"old 5\n{'A' * 43}\n\n{NOTE}", "the text is not base64"),
        ("old 5\n" + 64 * f"{'A' * 43}=\n" + f"\n{NOTE}", "there are more than 63 hashes"),
        (f"old 5\n{NOTE}", "the text is not base64"),
        ("old 5\n", "an empty line must be between"),
        ("old 5\n\n", "this is not a signed note"),
        (f"old 5\n\n{NOTE[:-1]}", "this is not a signed note"),
        (f"old 5\n\n{NOTE.replace('7', '07', 1)}", "this is not a checkpoint"),
    ],
    # Numbers, because the key in the values differs between test processes.
    ids=count(),
)
def test_a_malformed_submission_is_rejected_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(BadNote, match=f"^{reason}"):
        Submission.parse(text)
