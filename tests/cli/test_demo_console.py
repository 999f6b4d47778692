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


def test_every_page_of_the_demonstrations_console_has_content(tmp_path: Path) -> None:
    # With fewer days than 90, the demonstration does the same work in less time.
    code = "from hashdb.cli import demo_console, main; demo_console.DAYS = 14; main()"
    command = [sys.executable, "-c", code, "demo", "--console", "--port", "8713"]
    home, other_database = tmp_path / "home", tmp_path / "real.sqlite"
    home.mkdir()
    environment = {"TMPDIR": str(home), "PATH": "", "PYTHONPATH": ":".join(sys.path)}
    # The settings of another service, which the demonstration must not touch.
    environment |= {"HASHDB_DATABASE_URL": f"sqlite:///{other_database}", "HASHDB_HOME": str(tmp_path / "other")}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        output = ""
        while "Ctrl-C" not in output:
            line = process.stdout.readline()
            assert line, output
            output += line
        (address,) = re.findall(r"http://127\.0\.0\.1:\d+", output)
        (password,) = re.findall(r"password of each is (\S+)", output)
        for name in re.findall(r"^  (\w+) +(?:admin|reviewer|auditor)$", output, re.MULTILINE):
            with httpx.Client(base_url=address, follow_redirects=True) as client:
                form = {"name": name, "password": password, "csrf": csrf_token(client.get("/console/sign-in").text)}
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


def csrf_token(page: str) -> str:
    """The CSRF token in the forms of a page."""
    (token, *_) = re.findall(r'name="csrf" value="([^"]+)"', page)
    return str(token)


def test_the_option_console_excludes_once_and_json(run: Commands) -> None:
    for option in ("--once", "--json"):
        result = run("demo", "--console", option)
        assert result.returncode == 2 and "cannot be used" in result.stderr
