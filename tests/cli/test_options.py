"""Texts and ids on the command line."""

from __future__ import annotations

import shlex

import pytest

from tests.cli.conftest import PHOTOS, Commands, parse

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


@pytest.mark.parametrize(
    ("words", "id"),
    [
        (("withdraw", "contribution", "17", "--reason", "other"), 17),
        (("withdraw", "--reason", "other", "contribution:17"), 17),
        (("case", "decide", "case", "#5", "uphold"), 5),
        (("case", "decide", "--note", "case", "5", "uphold"), 5),
        (("case", "decide", "--note=contribution", "5", "uphold"), 5),
        (("benign", "delete", "benign", "entry", "3"), 3),
        (("webhook", "redeliver", "webhook", "1", "delivery", "12"), 1),
        (("report", "--preset", "dsa", "--contribution", "contribution", "17"), 17),
        (("opinion", "https://hashes.example/console/contributions/17", "confirms"), 17),
    ],
)
def test_an_id_may_be_given_in_the_words_in_which_it_is_shown(words: tuple[str, ...], id: int) -> None:
    assert id in parse(shlex.join(["hashdb", *words])).params.values()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ("withdraw", "case", "3", "--reason", "other"),
            "'case 3' is the id of another kind: give the id of the contribution",
        ),
        (("key", "revoke", "member:9"), "'member:9' is the id of another kind: give the id of the key"),
        (("key", "revoke", "hdb_7BgCn65N3"), "'KEY': this is the secret of a key, not an id"),
        (("key", "revoke", "0"), "'0' is not an id: write it like 17 or 'key 17'"),
        (("key", "revoke", "9007199254740992"), "'9007199254740992' is not an id"),
        (("erase", "upload.jpg"), "'upload.jpg' is not an id: write it like 17 or 'contribution 17'"),
    ],
)
def test_what_is_no_id_or_that_of_something_else_is_refused_by_name(
    run: Commands, words: tuple[str, ...], sentence: str
) -> None:
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert sentence in done.stderr
    assert "7BgCn65N3" not in done.stderr
