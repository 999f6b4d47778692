"""hashdb evaluate --texts: which copies and passages of texts are found; and the output of each evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from hashdb.cli.output import counted, print_json, print_table, progress_bar
from hashdb.errors import UnreadablePicture
from hashdb.evaluation import text_figures
from hashdb.evaluation.figures import Table
from hashdb.evaluation.pages import text_curves, text_page
from hashdb.evaluation.passages import TextForm
from hashdb.evaluation.texts import TRIALS, Text, TextScheme, evaluate_texts, split_texts, steps


def find_texts(folder: Path) -> list[Path]:
    """The files of plain text in a folder and below it, in order."""
    return [path for path in sorted(folder.rglob("*.txt")) if path.is_file()]


def measure_texts(
    folder: Path, paths: Sequence[Path], seed: int, processes: int, output: Path | None, as_json: bool
) -> dict[str, str]:
    """Measure these files of a folder, print what was found, and write it. Returns what was not measured, and why."""
    texts, failures = read_texts(folder, paths)
    # `around` are the texts that surround the passages of the listed ones in the uploads.
    listed, around = split_texts(texts, seed)
    if not around:
        found = f"{counted(len(texts), 'text')} in its *.txt files"
        return failures | {
            str(folder): f"an evaluation needs at least 2 texts in one script, and this folder has {found}"
        }
    scheme = TextScheme(listed, around, trials=min(len(listed), TRIALS), seed=seed)
    with progress_bar("evaluating", steps(scheme)) as advance:
        evaluation = evaluate_texts(scheme, processes, advance)
    tables = {form: text_figures.recall_table(evaluation, form) for form in TextForm}
    document = text_figures.as_document(evaluation)
    print_recall(document, tables, text_figures.describe_false_matches(evaluation), as_json)
    if output is not None:
        write_files(output, document, text_curves(evaluation), text_page(evaluation, failures))
    return failures


def read_texts(folder: Path, paths: Sequence[Path]) -> tuple[list[Text], dict[str, str]]:
    """The texts in these files of a folder, and what cannot be measured, with the reasons."""
    texts: list[Text] = []
    failures: dict[str, str] = {}
    for path in paths:
        try:
            texts.append(Text.read(path, folder))
        except UnreadablePicture as error:
            failures[str(path)] = str(error)
        except OSError:
            failures[str(path)] = "the file cannot be read"
    return texts, failures


def print_recall(
    document: Mapping[str, Any], tables: Mapping[Any, Table], mistakes: Iterable[str], as_json: bool
) -> None:
    """Print the document, or the tables by the form of the copies and the sentences on mistakes."""
    if as_json:
        print_json(document)
        return
    for form, table in tables.items():
        click.echo(f"Percent found: {form}")
        print_table(*table)
        click.echo()
    for sentence in mistakes:
        click.echo(sentence)


def write_files(output: Path, document: Mapping[str, Any], curves: str, page: str) -> None:
    """Write the figures, the curves and the page of an evaluation into a folder."""
    (output / "evaluation.json").write_text(json.dumps(document), "utf-8")
    (output / "curves.svg").write_text(curves, "utf-8")
    (output / "index.html").write_text(page, "utf-8", errors="backslashreplace")
