"""hashdb demo --console."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from tests.cli.conftest import Commands


def test_the_console_of_the_demonstration_has_something_on_every_page(tmp_path: Path) -> None:
    # Fewer days than 90 are the same work, a few times less of it.
    code = "from hashdb.cli import demo_console, main; demo_console.DAYS = 14; main()"
    command = [sys.executable, "-c", code, "demo", "--console", "--port", "8713"]
    home, real = tmp_path / "home", tmp_path / "real.sqlite"
    home.mkdir()
    environment = {"TMPDIR": str(home), "PATH": "", "PYTHONPATH": ":".join(sys.path)}
    # The settings of a service that is there: the demonstration leaves it alone.
    environment |= {"HASHDB_DATABASE_URL": f"sqlite:///{real}", "HASHDB_HOME": str(tmp_path / "other")}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = ""
        while "Ctrl-C" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        (address,) = re.findall(r"http://127\.0\.0\.1:\d+", said)
        (password,) = re.findall(r"password of each is (\S+)", said)
        for name in re.findall(r"^  (\w+) +(?:admin|reviewer|auditor)$", said, re.MULTILINE):
            with httpx.Client(base_url=address, follow_redirects=True) as client:
                form = {"name": name, "password": password, "csrf": secret(client.get("/console/sign-in").text)}
                assert client.post("/console/sign-in", data=form).is_success
                for page in (
                    "cases",
                    "contributions",
                    "proposals",
                    "benign",
                    "incidents",
                    "reports",
                    "events",
                    "users",
                ):
                    text = client.get(f"/console/{page}").text
                    assert re.search(r'href="/console/\w+/\d+', text), (name, page)
        assert list(home.iterdir())
        process.send_signal(signal.SIGINT)
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.communicate()
    assert list(tmp_path.iterdir()) == [home] and list(home.iterdir()) == []


def secret(page: str) -> str:
    """What the forms of a page carry."""
    (found, *_) = re.findall(r'name="csrf" value="([^"]+)"', page)
    return str(found)


def test_the_console_is_not_shown_with_the_table(run: Commands) -> None:
    for option in ("--once", "--json"):
        done = run("demo", "--console", option)
        assert done.returncode == 2 and "cannot be used" in done.stderr
