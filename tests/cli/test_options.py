"""Texts on the command line."""

from __future__ import annotations

import pytest

from tests.cli.conftest import PHOTOS, Commands

BYTES = "\udcff"
"""What Python makes of an argument of the one byte 0xFF."""

OPTIONS = ("--label", "--removed-at", "--basis", "--tco-ground", "--entity", "--incident", "--context", "--reference")


@pytest.mark.parametrize(
    "words",
    [
        ("member", "add", BYTES, "--kind", "platform"),
        ("member", "add", "Alpha", "--kind", BYTES),
        ("member", "add", "Alpha", "--kind", "platform", "--contact", BYTES),
        ("member", "suspend", BYTES),
        ("member", "reinstate", BYTES),
        ("key", "add", BYTES, "--scope", "match"),
        ("key", "list", BYTES),
        ("withdraw", "1", "--reason", BYTES),
        ("serve", "--host", BYTES),
        ("match", str(PHOTOS[0]), "--radius", BYTES),
        *(
            ("contribute", str(PHOTOS[0]), "--label", "incitement", "--removed-at", "now", option, BYTES)
            for option in OPTIONS
        ),
        (BYTES,),
    ],
)
def test_an_argument_that_is_not_utf8_is_wrong_usage(run: Commands, words: tuple[str, ...]) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith("Error: ")


def test_the_sentence_about_it_can_be_written(run: Commands) -> None:
    done = run.process("member", "add", BYTES, "--kind", "platform")
    assert done.returncode == 2
    assert done.stderr.endswith("Error: Invalid value for 'NAME': the text is not valid UTF-8\n")
