"""Text arguments and ids on the command line."""

from __future__ import annotations

import shlex

import pytest

from tests.cli.conftest import PHOTOS, Commands, parse

NOT_UTF_8 = "\udcff"
"""How Python represents an argument of the single byte 0xFF."""

OPTIONS = ("--label", "--removed-at", "--basis", "--tco-ground", "--entity", "--incident", "--context", "--reference")


@pytest.mark.parametrize(
    "words",
    [
        ("member", "add", NOT_UTF_8, "--kind", "platform"),
        ("member", "add", "Alpha", "--kind", NOT_UTF_8),
        ("member", "add", "Alpha", "--kind", "platform", "--contact", NOT_UTF_8),
        ("member", "suspend", NOT_UTF_8),
        ("member", "reinstate", NOT_UTF_8),
        ("key", "add", NOT_UTF_8, "--scope", "match"),
        ("key", "list", NOT_UTF_8),
        ("withdraw", "1", "--reason", NOT_UTF_8),
        ("serve", "--host", NOT_UTF_8),
        ("match", str(PHOTOS[0]), "--radius", NOT_UTF_8),
        *(
            ("contribute", str(PHOTOS[0]), "--label", "incitement", "--removed-at", "now", option, NOT_UTF_8)
            for option in OPTIONS
        ),
        (NOT_UTF_8,),
    ],
)
def test_an_argument_that_is_not_utf_8_is_a_usage_error(run: Commands, words: tuple[str, ...]) -> None:
    result = run(*words)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1].startswith("Error: ")


def test_the_error_about_text_that_is_not_utf_8_can_be_printed(run: Commands) -> None:
    result = run.process("member", "add", NOT_UTF_8, "--kind", "platform")
    assert result.returncode == 2
    assert result.stderr.endswith("Error: Invalid value for 'NAME': the text is not valid UTF-8\n")


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
def test_an_id_is_accepted_in_every_form_in_which_it_is_shown(words: tuple[str, ...], id: int) -> None:
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
        (("key", "list", "hdb_7BgCn65N3"), "'[MEMBER]': this is the secret of a key: give a name"),
        (("key", "revoke", "0"), "'0' is not an id: write it like 17 or 'key 17'"),
        (("key", "revoke", "9007199254740992"), "'9007199254740992' is not an id"),
        (("erase", "upload.jpg"), "'upload.jpg' is not an id: write it like 17 or 'contribution 17'"),
    ],
)
def test_an_invalid_id_or_an_id_of_another_kind_is_rejected(
    run: Commands, words: tuple[str, ...], sentence: str
) -> None:
    result = run(*words)
    assert (result.returncode, result.stdout) == (2, "")
    assert sentence in result.stderr
    assert "7BgCn65N3" not in result.stderr
