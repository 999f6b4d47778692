"""hashdb evaluate --texts."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest

from tests.cli.conftest import Commands
from tests.hashing.test_texts import WORDS


def test_texts_are_measured_by_their_passages(run: Commands, tmp_path: Path) -> None:
    folder, out = tmp_path / "texts", tmp_path / "out"
    (folder / "kind").mkdir(parents=True)
    for seed in range(4):
        words = Random(seed).choices(WORDS, k=400)
        (folder / "kind" / f"{seed}.txt").write_text(" ".join(words), "utf-8")
    (folder / "repeats.txt").write_text("again " * 400, "utf-8")
    (folder / "short.txt").write_text("too short", "utf-8")
    result = run("evaluate", "--texts", folder, "--processes", "1", "--json", "--output", out)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        f"hashdb: {folder}/repeats.txt: its words repeat too often to be hashed",
        f"hashdb: {folder}/short.txt: it has 2 words, and 300 are needed",
    ]
    output = json.loads(result.stdout)
    assert (output["texts"], output["around"], output["trials"]) == (3, 1, 3)
    assert json.loads((out / "evaluation.json").read_text("utf-8")) == output
    copies = {(copy["form"], copy["name"]): copy for copy in output["copies"]}
    assert copies["300 words inside 3,000 others", "as it is"]["found"] == 1.0
    assert copies["the whole text", "as it is"]["digest"] == 1.0
    page = (out / "index.html").read_text("utf-8")
    assert "<td>upper case</td>" in page and "short.txt" in page


def test_an_evaluation_of_one_text_is_an_error(run: Commands, tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text(" ".join(WORDS[:400]), "utf-8")
    result = run("evaluate", "--texts", tmp_path)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"hashdb: {tmp_path}: an evaluation needs at least 2 texts in one script,"
        " and this folder has 1 text in its *.txt files\n"
    )


@pytest.mark.parametrize("option", ["--videos", "--attacks", "--algorithm=pdq", "--apart"])
def test_options_for_other_media_are_rejected_for_texts(run: Commands, tmp_path: Path, option: str) -> None:
    result = run("evaluate", "--texts", tmp_path, option)
    assert result.returncode == 2
    assert f"{option.partition('=')[0]} is not for --texts" in result.stderr
