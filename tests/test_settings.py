"""Settings: read from HASHDB_*. An invalid setting is reported by its name."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from hashdb.domain.ledger.cosignatures import Cosigner
from hashdb.domain.signals import Algorithm
from hashdb.errors import BadSetting
from hashdb.settings import DEFAULT_LABELS, Settings

LABELS = """
behaviour = ["bad"]
tco_ground = ["2.7.a"]
entity_list = ["UN"]
context = ["synthetic"]
basis = ["terms"]
reason = ["other"]
"""


def with_environment(patch: pytest.MonkeyPatch, **values: str) -> Settings:
    for name, value in values.items():
        patch.setenv(f"HASHDB_{name.upper()}", value)
    return Settings.read()


def test_the_defaults_are_the_documented_values() -> None:
    settings = Settings.read()
    assert settings.home == Path("hashdb-data")
    assert settings.database == f"sqlite:///{Path.cwd() / 'hashdb-data' / 'hashdb.sqlite'}"
    assert settings.algorithms == (Algorithm.PDQ, Algorithm.PHASH256, Algorithm.PHASH)
    assert settings.max_radius == {}
    assert settings.max_body == 16 * 2**20
    assert not settings.accept_text
    assert (settings.accept_media, settings.media_max_bytes, settings.media_max_request) == (
        True,
        20 * 2**20,
        64 * 2**20,
    )
    assert settings.media_max_pixels == 50_000_000
    assert (settings.video_max_bytes, settings.video_max_body) == (256 * 2**20, 64 * 2**20)
    assert (settings.video_max_seconds, settings.video_processing_seconds) == (7200, 120)
    assert settings.largest_body == 64 * 2**20
    assert (settings.retention, settings.two_persons) == ({}, False)
    assert (settings.url, settings.key) == ("http://127.0.0.1:8000", None)


def test_the_idle_time_of_a_claimed_case_is_in_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.read().rules().case_idle == timedelta(minutes=15)
    assert with_environment(monkeypatch, case_idle="2.5").rules().case_idle == timedelta(minutes=2, seconds=30)
    for invalid in ("0", "1441", "x"):
        with pytest.raises(BadSetting):
            with_environment(monkeypatch, case_idle=invalid)


def test_the_policies_of_witnesses_and_organisations_are_read_from_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    rules = Settings.read().rules()
    assert (rules.witnesses, rules.organisations, rules.asks_witnesses) == (None, None, False)
    key, file = Cosigner.new("w.example").key, tmp_path / "policy.txt"
    file.write_text(f"# a comment\nwitness w {key} https://w.example/log\nquorum w\n")
    rules = with_environment(monkeypatch, witnesses=str(file), quorum=str(file)).rules()
    assert rules.witnesses is not None
    assert rules.witnesses == rules.organisations
    assert [witness.url for witness in rules.witnesses.witnesses_with_url] == ["https://w.example/log"]
    assert rules.asks_witnesses
    for url, fault in (
        ("http://w.example", "must be a URL that begins with https://"),
        ("https://127.0.0.1:8", "this is not a public address"),
        ("https://user@w.example", "must be a URL without a user and without a fragment"),
    ):
        file.write_text(f"witness w {key} {url}\nquorum w\n")
        with pytest.raises(BadSetting, match=rf"^HASHDB_WITNESSES: {file}: the URL of w: {fault} \(see also HASHDB_"):
            Settings.read().rules()
    local = with_environment(monkeypatch, webhook_networks="127.0.0.0/8", webhook_http="true")
    file.write_text(f"witness w {key} http://127.0.0.1:8/log\nquorum w\n")
    assert local.rules().asks_witnesses
    # Without an address, no witness is asked: the policy only verifies cosignatures.
    file.write_text(f"witness w {key}\nquorum w\n")
    assert not local.rules().asks_witnesses


@pytest.mark.parametrize("name", ["witnesses", "quorum"])
def test_an_invalid_policy_is_reported_with_its_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str
) -> None:
    setting, file = f"HASHDB_{name.upper()}", tmp_path / "policy.txt"
    settings = with_environment(monkeypatch, **{name: str(file)})
    for octets, reason in (
        (None, "cannot be read: no such file or directory"),
        (b"\xff", "is not UTF-8"),
        (b"# x\nquorum w\n", "line 2 of the policy: no earlier line defines w"),
        (b"", "the policy has no line `quorum NAME`"),
    ):
        if octets is not None:
            file.write_bytes(octets)
        with pytest.raises(BadSetting) as caught:
            settings.rules()
        assert str(caught.value).replace(f"{file}: ", "").replace(f"{file} ", "") == f"{setting}: {reason}"


def test_the_time_to_decide_is_in_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings.read().rules().time_to_decide == timedelta(hours=72)
    assert with_environment(monkeypatch, hours_to_decide="0.5").rules().time_to_decide == timedelta(minutes=30)
    for invalid in ("0", "-1", "9000", "nan", "soon"):
        with pytest.raises(BadSetting, match=r"^HASHDB_HOURS_TO_DECIDE: "):
            with_environment(monkeypatch, hours_to_decide=invalid)


def test_every_setting_has_a_description() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description and field.description.endswith("."), name


def test_every_setting_with_a_pattern_has_an_error_message() -> None:
    fields = Settings.model_fields.items()
    patterns = {name.upper() for name, field in fields if any(hasattr(entry, "pattern") for entry in field.metadata)}
    assert patterns == Settings.pattern_reasons.keys()


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().max_body = 1


def test_each_setting_is_read_from_its_environment_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = with_environment(
        monkeypatch,
        home="/srv/hashdb",
        database_url="postgresql://user:letmein@host/hashdb",
        algorithms=" phash, pdq,,pdq ",
        max_radius="pdq=60, phash = 10,",
        accept_media="0",
        media_workers="3",
        busy_seconds="1.5",
        key="hdb_secret",
    )
    assert settings.algorithms == (Algorithm.PHASH, Algorithm.PDQ)
    assert settings.max_radius == {Algorithm.PDQ: 60, Algorithm.PHASH: 10}
    assert (settings.accept_media, settings.media_workers, settings.busy_seconds) == (False, 3, 1.5)
    assert settings.database == "postgresql://user:letmein@host/hashdb"
    assert settings.home == Path("/srv/hashdb")


@pytest.mark.parametrize(
    ("value", "engine"), [("files", "tiered"), ("tiered", "tiered"), ("bktree", "bktree"), ("milvus", "milvus")]
)
def test_the_old_name_of_an_engine_is_accepted(monkeypatch: pytest.MonkeyPatch, value: str, engine: str) -> None:
    assert with_environment(monkeypatch, index=value).index == engine


def test_the_settings_of_algorithms_radii_and_labels_are_in_the_rules(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "labels.toml").write_text(LABELS)
    settings = with_environment(
        monkeypatch, algorithms="dhash", max_radius="dhash=9", labels=str(tmp_path / "labels.toml")
    )
    rules = settings.rules()
    assert (rules.algorithms, rules.max_radius) == ((Algorithm.DHASH,), {Algorithm.DHASH: 9})
    assert rules.vocabulary.behaviour == ("bad",)


def test_the_settings_of_retention_and_two_persons_are_in_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = with_environment(monkeypatch, retention=" manifesto=7, incitement = 36500,", two_persons="true")
    rules = settings.rules()
    assert rules.retention.days == {"manifesto": 7, "incitement": 36_500}
    assert rules.two_persons


def test_a_flood_cap_that_is_never_reached_is_cut_to_what_a_database_compares(monkeypatch: pytest.MonkeyPatch) -> None:
    assert with_environment(monkeypatch, flood_cap="9" * 20).rules().flood_cap == 2**31 - 1


def test_a_retention_of_an_unknown_label_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSetting) as caught:
        with_environment(monkeypatch, retention="nice=7").rules()
    assert caught.value.setting == "HASHDB_RETENTION"
    assert caught.value.reason.startswith("'nice' is not a behaviour")


def test_no_secret_is_in_the_text_of_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = with_environment(monkeypatch, key="hdb_secret", database_url="postgresql://user:letmein@host/hashdb")
    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert "hdb_secret" not in text
        assert "letmein" not in text


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("algorithms", "", "must have at least one algorithm"),
        ("algorithms", "pdq,md5", "'md5' is not an algorithm: pdq, phash256, phash, dhash, whash, ahash"),
        ("algorithms", "PDQ", "'PDQ' is not an algorithm: pdq, phash256, phash, dhash, whash, ahash"),
        ("max_radius", "pdq", "must be written as pdq=<bits>, at most 256"),
        ("max_radius", "pdq=", "must be written as pdq=<bits>, at most 256"),
        ("max_radius", "pdq=-1", "must be written as pdq=<bits>, at most 256"),
        ("max_radius", "pdq=257", "must be written as pdq=<bits>, at most 256"),
        ("max_radius", "pdq=" + "1" * 5000, "must be written as pdq=<bits>, at most 256"),
        ("max_radius", "phash=65", "must be written as phash=<bits>, at most 64"),
        ("max_radius", "md5=1", "'md5' is not an algorithm: pdq, phash256, phash, dhash, whash, ahash"),
        ("max_radius", "pdq=" + "9" * 5000, "must be written as pdq=<bits>, at most 256"),
        ("max_radius", "pdq=\u0663", "must be written as pdq=<bits>, at most 256"),
        ("origin", "\udcff", "is not UTF-8"),
        ("media_seconds", "\udcff", "is not UTF-8"),
        ("oidc_client_secret", "\udcff", "is not UTF-8"),
        ("signing_key_file", "", "is empty: name a file, or do not set it"),
        ("labels", "", "is empty: name a file, or do not set it"),
        ("quorum", "", "is empty: name a file, or do not set it"),
        ("retention", "manifesto", "must be written as label=<days>, with days from 1 to 36500"),
        ("retention", "=7", "must be written as label=<days>, with days from 1 to 36500"),
        ("retention", "manifesto=0", "must be written as label=<days>, with days from 1 to 36500"),
        ("retention", "manifesto=36501", "must be written as label=<days>, with days from 1 to 36500"),
        ("retention", "manifesto=9999999", "must be written as label=<days>, with days from 1 to 36500"),
        ("two_persons", "perhaps", "must be true or false"),
        ("max_body", "many", "must be a whole number"),
        ("max_body", "1.5", "must be a whole number"),
        ("max_body", "1" * 5000, "must be a whole number"),
        ("max_body", "0", "must be at least 1024"),
        ("video_max_bytes", "0", "must be at least 1024"),
        ("video_max_body", "1e6", "must be a whole number"),
        ("video_max_seconds", "0", "must be more than 0"),
        ("video_max_seconds", "86401", "must be at most 86400"),
        ("video_processing_seconds", "901", "must be at most 900"),
        ("busy_seconds", "0", "must be more than 0"),
        ("busy_seconds", "nan", "must be a number"),
        ("session_hours", "inf", "must be a number"),
        ("busy_seconds", "soon", "must be a number"),
        ("busy_seconds", "301", "must be at most 300"),
        ("accept_media", "perhaps", "must be true or false"),
        ("accept_text", "perhaps", "must be true or false"),
        ("media_workers", "0", "must be at least 1"),
        ("metrics_port", "65536", "must be at most 65535"),
        ("origin", "x" * 201, "must have at most 200 characters"),
        ("index", "disk", "must be one of 'tiered', 'bktree' or 'milvus'"),
        ("match_log", "all", "must be one of 'hits' or 'counts'"),
        ("rate_limit_address", "5/fortnight", "must be a number per second, minute, hour or day, like 3000/minute"),
        ("console_url", "hashes.example", "must be a URL without a path, like https://hashes.example"),
        ("console_url", "https://[::1", "must be a URL without a path, like https://hashes.example"),
        ("console_url", "https://:8444", "must be a URL without a path, like https://hashes.example"),
        ("public_url", "https://x:y", "must be a URL without ? and #, like https://hashes.example/hashdb"),
        ("otlp_endpoint", "http://[", "must be a URL, like http://127.0.0.1:4318"),
        ("oidc_issuer", "http://[", "must be a URL, like https://login.example/realms/staff"),
        ("oidc_issuer", "http://x:99999", "must be a URL, like https://login.example/realms/staff"),
        ("media_seconds", "1e20", "must be at most 86400"),
        ("media_memory", "9" * 20, "must be at most 1099511627776"),
        ("console_url", "https://hashes.example/x", "must be a URL without a path, like https://hashes.example"),
        ("otlp_endpoint", "127.0.0.1:4318", "must be a URL, like http://127.0.0.1:4318"),
        ("oidc_issuer", "login.example", "must be a URL, like https://login.example/realms/staff"),
        ("due_soon", "0", "must be more than 0"),
        ("smtp_host", "smtp.example/", "must be a host name or an address, like smtp.example"),
        ("smtp_security", "ssl", "must be one of 'starttls', 'tls' or 'none'"),
        ("smtp_from", "hashdb@x\nBcc: y@z", "must be one mail address in ASCII, like ada@example.org"),
        ("public_url", "https://x/?y", "must be a URL without ? and #, like https://hashes.example/hashdb"),
        ("hma_key", "foo", "must be the secret of a key, hdb_…, as `hashdb key add` prints it"),
        ("hma_key", "hdb_", "must be the secret of a key, hdb_…, as `hashdb key add` prints it"),
        ("hma_key", "", "must be the secret of a key, hdb_…, as `hashdb key add` prints it"),
    ],
)
def test_an_invalid_setting_is_reported_by_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, reason: str
) -> None:
    with pytest.raises(BadSetting) as caught:
        with_environment(monkeypatch, **{name: value})
    assert caught.value.setting == f"HASHDB_{name.upper()}"
    assert caught.value.reason == reason
    assert str(caught.value).isprintable()


def test_an_empty_home_is_the_default_and_not_the_current_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    for empty in ("", " "):
        assert with_environment(monkeypatch, home=empty, key_file=empty).home == Path("hashdb-data")
    assert str(with_environment(monkeypatch, home="\udcff").home) == "\udcff"


def test_every_setting_with_a_pattern_has_an_example_in_its_error(monkeypatch: pytest.MonkeyPatch) -> None:
    patterned = [
        name
        for name, field in Settings.model_fields.items()
        if any(hasattr(constraint, "pattern") for constraint in field.metadata)
    ]
    assert len(patterned) == 7
    for name in patterned:
        with pytest.raises(BadSetting, match=", like "), monkeypatch.context() as patch:
            with_environment(patch, **{name: "?"})


MAIL = {"smtp_host": "smtp.example", "smtp_from": "hashdb@hashes.example", "console_url": "https://console.example"}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"smtp_from": None}, "HASHDB_SMTP_HOST needs HASHDB_SMTP_FROM and HASHDB_CONSOLE_URL"),
        ({"console_url": None}, "HASHDB_SMTP_HOST needs HASHDB_SMTP_FROM and HASHDB_CONSOLE_URL"),
        ({"smtp_user": "hashdb"}, "HASHDB_SMTP_USER and HASHDB_SMTP_PASSWORD_FILE go together"),
        ({"smtp_password_file": "file"}, "HASHDB_SMTP_USER and HASHDB_SMTP_PASSWORD_FILE go together"),
        (
            {"smtp_user": "hashdb", "smtp_password_file": "file", "smtp_security": "none"},
            "HASHDB_SMTP_USER needs HASHDB_SMTP_SECURITY=starttls or tls",
        ),
    ],
)
def test_incomplete_settings_of_mail_are_rejected(
    monkeypatch: pytest.MonkeyPatch, changed: dict[str, str | None], reason: str
) -> None:
    with pytest.raises(BadSetting, match=f"^{reason.split()[0]}: {reason}"):
        with_environment(monkeypatch, **{name: value for name, value in {**MAIL, **changed}.items() if value})


def test_the_settings_of_mail_are_in_the_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not Settings().rules().mails
    rules = with_environment(monkeypatch, due_soon="6", **MAIL).rules()
    assert (rules.mails, rules.due_soon) == (True, timedelta(hours=6))


def test_an_error_shows_no_value_of_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASHDB_KEY", "hdb_secret")
    with pytest.raises(BadSetting) as caught:
        with_environment(monkeypatch, max_body="hdb_value")
    assert "hdb_" not in str(caught.value)


def test_the_default_label_file_is_part_of_the_package() -> None:
    assert Settings().labels == DEFAULT_LABELS
    assert DEFAULT_LABELS.is_file()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: FILE: no such file or directory"),
        (b"\xff", "cannot be read: FILE is not UTF-8"),
        (b"behaviour = [", "cannot be read: FILE is not TOML: Invalid value (at end of document)"),
        (b"behaviour = " + b"[" * 20_000, "cannot be read: FILE has values that are nested too deeply"),
        (b"", "behaviour must be a list of codes without spaces, at least one"),
        (LABELS.replace('["bad"]', "[]").encode(), "behaviour must be a list of codes without spaces, at least one"),
        (LABELS.replace('["bad"]', '"bad"').encode(), "behaviour must be a list of codes without spaces"),
        (LABELS.replace('["bad"]', '["a b"]').encode(), "behaviour must be a list of codes without spaces"),
        (LABELS.replace('["bad"]', "[1]").encode(), "behaviour must be a list of codes without spaces"),
        (LABELS.replace('["terms"]', '[""]').encode(), "basis must be a list of codes without spaces"),
        (LABELS.replace('["terms"]', '["ä"]').encode(), "basis must be a list of codes without spaces"),
        ((LABELS + 'mood = ["a"]\n').encode(), "unknown kinds: mood"),
    ],
)
def test_an_invalid_label_file_is_rejected(tmp_path: Path, content: bytes | None, reason: str) -> None:
    file = tmp_path / "labels.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadSetting) as caught:
        Settings(labels=file).rules()
    assert caught.value.setting == "HASHDB_LABELS"
    assert caught.value.reason.startswith(reason.replace("FILE", str(file)))
