"""hashdb import and export: one invalid row stops an import, and an export can be imported again."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from io import BytesIO, StringIO, TextIOWrapper
from pathlib import Path

import pytest

from hashdb.cli.contributions.columns import Columns
from hashdb.cli.contributions.dates import SHAPES, Dates
from hashdb.cli.contributions.files import open_list
from hashdb.cli.contributions.imports import import_command, read_drafts, read_mappings
from hashdb.cli.contributions.reports import Report
from hashdb.cli.contributions.rows import Format, read_rows
from hashdb.cli.contributions.values import Values
from hashdb.client import Client
from hashdb.domain.contributions import Contribution, Draft, Media
from hashdb.domain.frames import Frame, Unit
from hashdb.domain.signals import Algorithm, Signal
from hashdb.wire import ValidationContext
from tests.builders import RULES, draft, signal, signature, text, video, words
from tests.cli.conftest import PHOTOS, Commands
from tests.cli.proxies import service_of_version_0_1_0
from tests.films import film

CONTEXT = ValidationContext(RULES, datetime(2026, 12, 1, tzinfo=UTC), imported=True)
IMPLAUSIBLE_HASH = "0" * 64
"""A hash that no ordinary picture has."""


def own_contributions(member: Commands) -> list[Contribution]:
    environment = member.environment
    with Client(environment["HASHDB_URL"], environment["HASHDB_KEY"]) as client:
        id = client.me().member.id
        return [contribution for contribution in client.contributions() if contribution.member == id]


def test_no_signatures_are_sent_to_a_service_of_version_0_1_0(member: Commands, tmp_path: Path) -> None:
    file = tmp_path / "list.jsonl"
    row = {"signals": [str(signal(95))], "labels": ["glorification"], "signatures": [str(signature(1))]}
    file.write_text(json.dumps(row))
    with service_of_version_0_1_0(member.environment["HASHDB_URL"]) as url:
        assert member.json("import", file, HASHDB_URL=url)["contributed"] == 1
        metadata = ("--label", "glorification", "--removed-at", "2026-11-20T10:00:00Z")
        (contribution,) = member.json("contribute", PHOTOS[0], *metadata, HASHDB_URL=url)
        assert contribution["id"]
        result = member("rehash", PHOTOS[0], HASHDB_URL=url)
    assert (result.returncode, result.stderr) == (
        1,
        "hashdb: the service has version 0.1.0, which adds no signals: its operator can upgrade it\n",
    )
    assert not any(contribution.signatures for contribution in own_contributions(member))


def write_list(tmp_path: Path, *lines: str) -> Path:
    file = tmp_path / "list.csv"
    file.write_text("\n".join(("signals,labels,severity", *lines, "")))
    return file


def test_an_export_is_imported_without_changes(member: Commands, service_url: str, home: Path, tmp_path: Path) -> None:
    environment = member.environment
    with Client(environment["HASHDB_URL"], environment["HASHDB_KEY"]) as client:
        drafts = [
            draft(seed, signal(seed + 1), severity=3, context=("synthetic",), reference='=a, "b" ü ') for seed in (7, 9)
        ]
        digests = (Signal(Algorithm.SHA256, 7), Signal(Algorithm.MD5, 5))
        address = draft(Signal(Algorithm.URL, 5 << 128), media=Media.DOCUMENT, quality=None)
        of_words = text(words(1, 400))
        pages = tuple(Frame(page, (signal(40 + page),), 90, unit=Unit.PAGES) for page in (1, 2))
        document = draft(*digests, media=Media.DOCUMENT, quality=None, frames=(*pages, *of_words.frames))
        videos = [video(20, 21, 22, signals=digests), video(30, 31, 32)]
        client.contribute([*drafts, draft(11), *videos, of_words, document, address])
        withdrawn = client.contribute([draft(13)]).recorded[0].contribution
        client.withdraw(withdrawn.id, "other")
    added = Commands({"HASHDB_HOME": str(home)}).json(
        "member", "add", f"{tmp_path.name} other", "--kind", "platform", "--scope", "contribute"
    )
    other = Commands({**environment, "HASHDB_KEY": added["key"]["secret"]})
    for format_name in ("csv", "jsonl"):
        file = tmp_path / f"export.{format_name}"
        file.write_text(member("export", "--format", format_name).stdout)
        output = other.json("import", file)
        assert (output["rows"], output["contributed"] + output["known"], output["faulty"]) == (8, 8, 0)
        assert other("export", "--format", format_name).stdout == file.read_text()
    assert output["known"] == 8
    exported = member.json("export")
    windows = len(of_words.frames)
    assert [len(item.get("frames", ())) for item in exported] == [0, 0, 0, 3, 3, windows, windows + 2, 0]
    assert exported[5]["frames"][0] == {"words": [0, 150], "signals": [str(of_words.frames[0].signals[0])]}
    assert exported[6]["frames"][1] == {"page": 2, "quality": 90, "signals": [str(signal(42))]}
    assert [item["media"] for item in exported[5:]] == ["text", "document", "document"]
    assert exported[7]["signals"] == [f"url:{5 << 128:064x}"]
    assert exported[3]["frames"][1] == {"at": 1.0, "quality": 90, "signals": [str(signal(21))]}
    assert (exported[3]["duration"], exported[3]["media"]) == (3.0, "video")


def test_a_film_that_was_imported_as_vpdq_is_found(member: Commands, tmp_path: Path) -> None:
    (clip := tmp_path / "clip.mp4").write_bytes(film(seconds=6))
    (text := tmp_path / "clip.txt").write_text(printed := member("hash", "--format", "vpdq", clip).stdout)
    rows = [line.split(",") for line in printed.splitlines()]
    assert [(row[0], row[3]) for row in rows] == [(f"{10 * at}", f"{at}.000") for at in range(6)]
    (item,) = member.json("hash", clip)
    values = {signal for frame in item["frames"] for signal in frame["signals"]}
    assert {f"pdq:{row[2]}" for row in rows} <= values
    before = {contribution.id for contribution in own_contributions(member)}
    assert member.json("import", "--format", "vpdq", "--label", "manifesto", text)["contributed"] == 1
    (imported,) = [contribution for contribution in own_contributions(member) if contribution.id not in before]
    assert (imported.media, imported.frame_count, imported.duration, imported.signals) == ("video", 6, 6.0, ())
    (result,) = member.json("match", clip)
    (match,) = [match for match in result["matches"] if match["contribution"] == imported.id]
    assert match["segments"][0]["listed"][1] > 4


def test_an_invalid_vpdq_line_is_reported(member: Commands, tmp_path: Path) -> None:
    (text := tmp_path / "clip.vpdq").write_text("0,90,zz\n")
    output = member.json("import", "--format", "vpdq", "--label", "manifesto", text, status=1)
    assert [(fault["line"], fault["at"]) for fault in output["faults"]] == [(1, "vpdq")]
    assert output["contributed"] == 0


def test_invalid_rows_are_reported_and_stop_the_import_without_skip_faulty(member: Commands, tmp_path: Path) -> None:
    file = write_list(
        tmp_path, f"{signal(1)},glorification,1", f"pdq:{IMPLAUSIBLE_HASH},unheard_of,9", "pdq:12,glorification,"
    )
    result = member("import", file)
    assert result.returncode == 1
    assert result.stdout == f"{file}: 3 rows, 2 faulty; nothing was stored\n"
    errors = result.stderr.splitlines()
    assert [line.split(": ")[0] for line in errors] == [f"{file}:3", f"{file}:3", f"{file}:3", f"{file}:4"]
    assert errors[-1] == f"{file}:4: signals[0]: pdq needs 64 hex digits, got 2"
    assert IMPLAUSIBLE_HASH not in result.stderr
    assert own_contributions(member) == []
    output = member.json("import", file, "--dry-run", status=1)
    assert (output["dry_run"], output["faulty"], {fault["line"] for fault in output["faults"]}) == (True, 2, {3, 4})

    result = member("import", file, "--skip-faulty")
    assert (result.returncode, result.stdout) == (1, f"{file}: 3 rows, 1 contributed, 2 faulty\n")
    (contribution,) = own_contributions(member)
    assert (contribution.signals, contribution.severity, contribution.removed_at, contribution.quality) == (
        (signal(1),),
        1,
        None,
        None,
    )
    assert member("import", file, "--skip-faulty").stdout == f"{file}: 3 rows, 1 known, 2 faulty\n"


def test_a_dry_run_stores_nothing(member: Commands, tmp_path: Path) -> None:
    result = member("import", write_list(tmp_path, f"{signal(1)},glorification,"), "--dry-run")
    assert (result.returncode, result.stdout.endswith(": 1 row, 1 good, 0 faulty; nothing was stored\n")) == (0, True)
    assert own_contributions(member) == []


def test_a_text_file_gets_its_labels_from_the_command_line(member: Commands, tmp_path: Path) -> None:
    file = tmp_path / "hashes.txt"
    file.write_text(f"pdq {signal(1).value:064x}\nphotodna aGVsbG8=\n{signal(2).value:064x}\n")
    result = member("import", file, "--label", "glorification", "--algorithm", "pdq", "--skip-faulty")
    assert result.returncode == 1
    assert result.stderr.startswith(f"{file}:2: algorithm: `photodna` is not an algorithm of hashdb: pdq, ")
    assert [contribution.signals for contribution in own_contributions(member)] == [(signal(1),), (signal(2),)]
    assert {contribution.labels for contribution in own_contributions(member)} == {("glorification",)}


def test_rows_are_read_from_standard_input(member: Commands) -> None:
    lines = "".join(f"pdq {signal(seed).value:064x}\n" for seed in range(1_203))
    result = subprocess.run(
        [sys.executable, "-m", "hashdb", "import", "-", "--label", "glorification", "--json"],
        env={"PATH": "", "PYTHONPATH": ":".join(sys.path), **member.environment},
        input=lines,
        capture_output=True,
        text=True,
        check=True,
    )
    output = json.loads(result.stdout)
    assert (output["rows"], output["contributed"], result.stderr) == (1_203, 1_203, "")


@pytest.mark.parametrize("form", ["csv", "jsonl", "text"])
def test_a_row_that_is_not_utf_8_is_reported_and_not_stored(
    member: Commands, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = {
        "csv": f"signals,labels,reference\n{signal(1)},glorification,caf\xe9\n",
        "jsonl": json.dumps({"signals": [str(signal(1))], "labels": ["glorification"], "reference": "caf!"}),
        "text": f"pdq {signal(1).value:064x} caf\xe9",
    }
    octets = lists[form].replace("!", "\xe9").encode("latin-1")
    file = tmp_path / "list"
    file.write_bytes(octets)
    line = 2 if form == "csv" else 1
    result = member("import", file, "--format", form, "--skip-faulty", "--label", "glorification")
    error = "is not UTF-8: save the file as UTF-8, or pass --encoding\n"
    assert (result.returncode, result.stderr) == (1, f"{file}:{line}: {error}")
    assert own_contributions(member) == []
    monkeypatch.setattr(sys, "stdin", TextIOWrapper(BytesIO(octets), "utf-8", "strict"))
    piped = member("import", "-", "--format", form, "--label", "manifesto")
    assert (piped.returncode, piped.stderr) == (1, f"-:{line}: {error}")


# Lists as members have them: the file, the options that it needs, and what the error names without them.
MEMBER_FILES: dict[str, tuple[str, tuple[str, ...], str]] = {
    "label for labels": ("algorithm,hash,label,source\npdq,{0},manifesto,us\n", ("--ignore-columns",), "`source`"),
    "a spreadsheet in German": (
        "Hash-Typ;Hash;Kategorie;Gelöscht am;;\r\nPDQ;{0};Manifesto;3.11.2026 11:00;;\r\n",
        ("--map", "hash-typ=algorithm", "--map", "Kategorie=labels", "--map", "gelöscht am=removed_at",
         "--dates", "day-first", "--timezone", "Europe/Berlin"),
        "`Hash-Typ` (is it `algorithm`?), `Kategorie`",
    ),
    "a spreadsheet in English": (
        'PDQ,Label,Removed Date,Notes\n0x{0},MANIFESTO,11/03/2026 5:00 AM,"two\nlines"\n',
        ("--dates", "month-first", "--timezone", "America/New_York", "--ignore-column", "notes"),
        "`Notes`",
    ),
    "serial numbers": ("pdq,label,removed at\n{0},manifesto,46329.4166666667\n",
                       ("--dates", "excel", "--timezone", "UTC"), "pass --dates excel"),
    "a database": (
        "id,sha256,pdq,labels,removed_at\n1,NULL,{0},{{manifesto}},2026-11-03 10:00:00+00\n",
        ("--ignore-column", "id"),
        "`id`",
    ),
    "no labels": ("pdq\n{0}\n", ("--label", "manifesto"), "no column has labels"),
    "ThreatExchange": (
        '{{"indicator": "{0}", "type": "HASH_PDQ", "added_on": 1793700000, "tags": ["tvec"]}}\n',
        ("--map", "added_on=removed_at", "--dates", "unix", "--ignore-columns", "--label", "manifesto"),
        "`added_on`, `tags`",
    ),
    "HMA": ('{{"id": 4, "signals": {{"pdq": "{0}"}}, "note": ""}}\n',
            ("--ignore-columns", "--label", "manifesto"), "`id`, `note`"),
}  # fmt: skip


def read(file: Path, *words: str) -> tuple[str, list[Draft]]:
    """What `hashdb import` with these options prints about a file, and the drafts that it would send."""
    chosen = import_command.make_context("import", [str(file), *words]).params
    columns = Columns(read_mappings(chosen["mapped"]), chosen["ignored"], chosen["ignore_rest"])
    values = Values(Dates(chosen["zone"], chosen["shape"]), None, RULES.vocabulary)
    report = Report("list.csv", False, True, columns)
    with open_list(file, None) as lines, redirect_stderr(output := StringIO()), redirect_stdout(output):
        form = Format.detect(file.suffix, lines.read())
        lines.seek(0)
        rows = read_rows(lines, form, values, columns, is_labelled=bool(chosen["labels"]))
        drafts = [draft for _, draft in read_drafts(rows, chosen["labels"], CONTEXT, report)]
        report.print()
    return output.getvalue(), drafts


@pytest.mark.parametrize("name", MEMBER_FILES)
def test_a_members_file_is_rejected_without_its_options_and_read_with_them(name: str, tmp_path: Path) -> None:
    text, words, rejected = MEMBER_FILES[name]
    (file := tmp_path / "list.txt").write_text(text.format(str(signal(40))[4:].upper()), newline="")
    output, _ = read(file)
    assert rejected in output
    assert "nothing was stored" in output
    output, (draft,) = read(file, *words)
    assert (draft.signals, draft.labels) == ((signal(40),), ("manifesto",))
    has_time = any(words.count(shape) for shape in SHAPES) or "removed_at" in text
    assert draft.removed_at == (datetime(2026, 11, 3, 10, tzinfo=UTC) if has_time else None)


def test_a_spreadsheet_is_rejected_previewed_and_imported(member: Commands, tmp_path: Path) -> None:
    text, words, rejected = MEMBER_FILES["a spreadsheet in German"]
    digits = str(signal(40))[4:]
    (file := tmp_path / "list.csv").write_text(text.format(digits), newline="")
    result = member("import", file)
    assert (result.returncode, rejected in result.stderr) == (1, True), result.stderr
    assert result.stdout == f"{file}: no row was read; nothing was stored\n"
    dry_run = member("import", file, *words, "--dry-run")
    assert (dry_run.returncode, f"pdq:{digits[:8]}…" in dry_run.stdout, digits in dry_run.stdout) == (0, True, False)
    assert own_contributions(member) == []
    assert member.json("import", file, *words)["contributed"] == 1
    (contribution,) = own_contributions(member)
    assert (contribution.removed_at, contribution.labels) == (datetime(2026, 11, 3, 10, tzinfo=UTC), ("manifesto",))


def test_a_dry_run_shows_the_first_rows_and_each_kind_of_fault(member: Commands, tmp_path: Path) -> None:
    file = tmp_path / "list.csv"
    good = [f"{str(signal(seed))[4:]},manifesto" for seed in range(7)]
    file.write_text(
        "\n".join(["pdq,Label,rank", *(f"{row},1" for row in good), *(["aa,manifesto,1"] * 30), "x,,1", ""])
    )
    output = member.json("import", file, "--dry-run", "--ignore-column", "rank", "--label", "glorification", status=1)
    assert (output["rows"], output["faulty"], output["labelled"], output.get("omitted", 0)) == (
        38,
        31,
        1,
        0,
    )
    assert (output["columns"], output["unused"]) == ({"pdq": "pdq", "Label": "labels"}, ["rank"])
    first = {"line": 2, "labels": ["manifesto"], "media": "image", "signals": [str(signal(0))]}
    assert (output["first"][0], len(output["first"])) == (first, 5)
    short = {"at": "signals[0]", "reason": "pdq needs 64 hex digits, got 2", "rows": 30, "lines": [9, 10, 11, 12, 13]}
    assert output["kinds"][0] == short
    assert [kind["rows"] for kind in output["kinds"]] == [30, 1]
    result = member("import", file, "--dry-run", "--ignore-columns", "--label", "glorification")
    assert (result.returncode, result.stderr) == (1, f"{file}: not used: `rank`\n")
    assert "30 rows  9, 10, 11, 12, 13, …  signals[0]: pdq needs 64 hex digits, got 2" in result.stdout
    assert "These are the first 5 good rows, as they will be stored." in result.stdout
    assert "1 row without labels will have those of --label." in result.stdout
    assert result.stdout.endswith(": 38 rows, 7 good, 31 faulty; nothing was stored\n")
    assert own_contributions(member) == []


def test_an_unused_key_in_the_last_line_is_reported_before_sending(member: Commands, tmp_path: Path) -> None:
    file = tmp_path / "list.jsonl"
    lines = [json.dumps({"pdq": str(signal(seed))[4:], "label": "manifesto"}) for seed in range(20)]
    file.write_text("\n".join([*lines, json.dumps({"pdq": "x", "Colour": 1})]))
    result = member("import", file, "--skip-faulty")
    assert (result.returncode, own_contributions(member)) == (1, [])
    assert f"{file}:21: this key is not used: `Colour`; " in result.stderr
    assert result.stdout == f"{file}: 21 rows, 1 faulty; nothing was stored\n"
    result = member("import", file, "--map", "color=reference", "--ignore-columns")
    assert f"{file}:1: `color`: is named on the command line" in result.stderr
    assert "did you mean `Colour`?" in result.stderr


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("--map", "Kategorie=label"), "did you mean 'labels'?"),
        (("--map", "Kategorie"), "is not theirs=field, like Category=labels"),
        (("--map", "a=labels", "--map", "b=labels"), "--map names the field 'labels' twice"),
        (("--map", "a b=labels", "--map", "A_B=hash"), "--map names their column 'a b' twice"),
        (("--timezone", "Europe/Berln"), "did you mean 'Europe/Berlin'?"),
        (("--dates", "dayfirst"), "Did you mean 'day-first'?"),
        (("--format", "text", "--map", "a=labels"), "is read as text, which has no columns"),
    ],
)
def test_invalid_options_are_a_usage_error_with_a_hint(
    member: Commands, tmp_path: Path, words: tuple[str, ...], hint: str
) -> None:
    result = member("import", write_list(tmp_path), *words)
    assert (result.returncode, hint in result.stderr) == (2, True), result.stderr


@pytest.mark.parametrize("words", [("no-such-file.csv",), (".",)])
def test_a_file_that_cannot_be_read_is_a_usage_error(member: Commands, words: tuple[str, ...]) -> None:
    result = member("import", *words)
    assert (result.returncode, "cannot be read" in result.stderr) == (2, True)
