"""Signing in by OpenID Connect, with a real provider in a separate process."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from werkzeug.test import TestResponse

from hashdb.domain.accounts.members import COMMAND_LINE
from hashdb.domain.accounts.users import ProviderIdentity, Role, User
from hashdb.service.accounts import sessions, users
from tests.web.callers import Service, service_at
from tests.web.console.oidc import CLIENT, SECRET, Provider, provider
from tests.web.console.visitors import Visitor, add_user, sign_in_new_user

CONSOLE_URL = "http://console.example"
REDIRECT_URI = f"{CONSOLE_URL}/console/sign-in/provider/back"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with provider(tmp_path_factory.mktemp("provider")) as running:
        yield running


@contextmanager
def service_with_provider(running: Provider, **claims: Any) -> Iterator[Service]:
    """Start a service whose provider sends these claims."""
    settings = {name: claims.pop(name) for name in list(claims) if name.startswith("oidc_")}
    running.set_claims(REDIRECT_URI, **{"sub": "subject-1", "preferred_username": "ada", **claims})
    usual = {
        "oidc_issuer": running.issuer,
        "oidc_client_id": CLIENT,
        "oidc_client_secret": SECRET,
        "console_url": CONSOLE_URL,
    }
    with service_at(None, **usual | settings) as service:
        service.clock.at = datetime.now(UTC)
        add_user(service, "ada", Role.ADMIN, None, local=False)
        yield service


def sign_in_by_provider(visitor: Visitor) -> TestResponse:
    """Follow the redirects to the provider and back, and return the last response."""
    redirect = visitor.get("/console/sign-in/provider")
    assert redirect.status_code == 303, redirect.text
    answer = httpx.get(redirect.headers["Location"])
    assert answer.status_code == 302, answer.text
    assert answer.headers["Location"].startswith(REDIRECT_URI)
    return visitor.get(answer.headers["Location"].removeprefix(CONSOLE_URL))


def test_a_user_of_the_provider_signs_in(running: Provider) -> None:
    with service_with_provider(running) as service:
        visitor = Visitor(service, "ada")
        assert "Sign in with 127.0.0.1" in visitor.get("/console/sign-in").text
        response = sign_in_by_provider(visitor)
        assert (response.status_code, response.headers["Location"]) == (303, "/console")
        assert visitor.get("/console/members").status_code == 200
        assert sign_in_by_provider(Visitor(service)).status_code == 303


def test_an_answer_of_the_provider_works_once_and_in_its_browser(running: Provider) -> None:
    with service_with_provider(running) as service:
        visitor, other = Visitor(service), Visitor(service)
        answer = httpx.get(visitor.get("/console/sign-in/provider").headers["Location"])
        back = answer.headers["Location"].removeprefix(CONSOLE_URL)
        other.get("/console/sign-in/provider")
        assert "sign in again" in other.get(back).text
        assert visitor.get(back).status_code == 303
        assert visitor.get(back).status_code == 422
        for query in ("state=x&code=y", "error=access_denied", ""):
            assert Visitor(service).get(f"/console/sign-in/provider/back?{query}").status_code == 422


@pytest.mark.parametrize(
    ("claims", "error"),
    [
        ({"preferred_username": "nobody"}, "no user who signs in with the provider has this name".capitalize()),
        ({"preferred_username": None}, "sent no user name"),
        ({"preferred_username": ["ada"]}, "sent no user name"),
        ({"sub": "s" * 256}, "is not valid"),
        ({"oidc_claim": "email", "email": "ada"}, "has not verified"),
        ({"oidc_client_secret": "another"}, "did not answer"),
    ],
)
def test_missing_or_unverified_claims_are_rejected(running: Provider, claims: dict[str, Any], error: str) -> None:
    with service_with_provider(running, **claims) as service:
        answer = sign_in_by_provider(Visitor(service))
        assert answer.status_code == 422
        assert error in answer.text


def test_a_verified_mail_address_can_be_the_user_name(running: Provider) -> None:
    with service_with_provider(running, oidc_claim="email", email="ada", email_verified=True) as service:
        assert sign_in_by_provider(Visitor(service)).status_code == 303


def test_a_user_belongs_to_one_subject(running: Provider) -> None:
    with service_with_provider(running) as service:
        sessions.sign_in_by_provider(service.db, "ada", ProviderIdentity(None, "subject-0"), "a")
        assert "belongs to another account of the provider" in sign_in_by_provider(Visitor(service)).text


def test_the_provider_cannot_open_an_account_with_a_password(running: Provider) -> None:
    with service_with_provider(running, preferred_username="rosa") as service:
        rosa = sign_in_new_user(service, "rosa", Role.ADMIN)
        intruder = Visitor(service, "rosa")
        assert "who signs in with the provider" in sign_in_by_provider(intruder).text
        assert intruder.get("/console/members").status_code == 303
        assert rosa.get("/console/members").status_code == 200


def test_an_admin_moves_a_user_to_the_provider_and_back(running: Provider) -> None:
    with service_with_provider(running, preferred_username="rosa") as service:
        rosa, otto = (sign_in_new_user(service, name, Role.ADMIN) for name in ("rosa", "otto"))
        number = find_rosa(service).id
        assert "Switch to the provider" in otto.get(f"/console/users/{number}").text
        assert otto.post(f"/console/users/{number}/provider").status_code == 303
        assert rosa.get("/console/members").status_code == 303
        assert rosa.sign_in().status_code == 422
        assert sign_in_by_provider(Visitor(service)).status_code == 303
        assert "Set a new password" in otto.get(f"/console/users/{number}").text
        assert otto.post(f"/console/users/{number}/password").status_code == 200
        assert sign_in_by_provider(Visitor(service)).status_code == 422


def find_rosa(service: Service) -> User:
    return users.named(service.db, COMMAND_LINE, "rosa")


@pytest.mark.parametrize(
    ("claims", "status"),
    [
        ({"azp": CLIENT}, 303),
        ({"azp": "another"}, 422),
        ({"aud": [CLIENT]}, 303),
        ({"aud": [CLIENT, "another"]}, 422),
        ({"aud": [CLIENT, "another"], "azp": "another"}, 422),
        ({"aud": [CLIENT, "another"], "azp": CLIENT}, 303),
        ({"aud": ["another"], "azp": CLIENT}, 422),
    ],
)
def test_a_token_for_another_client_is_refused(running: Provider, claims: dict[str, Any], status: int) -> None:
    with service_with_provider(running, **claims) as service:
        assert sign_in_by_provider(Visitor(service)).status_code == status


def test_failed_provider_sign_ins_count_for_their_address(running: Provider) -> None:
    with service_with_provider(running, preferred_username="nobody") as service:
        statuses = [sign_in_by_provider(Visitor(service)).status_code for _ in range(22)]
        assert statuses == [422] * 20 + [429] * 2


def test_invalid_codes_count_for_their_address(running: Provider) -> None:
    with service_with_provider(running) as service:
        visitor = Visitor(service)
        state = parse_qs(urlsplit(visitor.get("/console/sign-in/provider").headers["Location"]).query)["state"][0]
        back = f"/console/sign-in/provider/back?state={state}&code="
        assert [visitor.get(f"{back}{number}").status_code for number in range(22)] == [422] * 20 + [429] * 2


def test_a_silent_provider_blocks_only_one_request_at_a_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent, ThreadPoolExecutor(1) as pool:
        issuer = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = {"oidc_issuer": issuer, "oidc_client_id": "x", "oidc_client_secret": "y"}
        with service_at(None, console_url=CONSOLE_URL, **settings) as service:
            first = pool.submit(Visitor(service).get, "/console/sign-in/provider")
            accepted, _ = silent.accept()
            second = Visitor(service).get("/console/sign-in/provider")
            assert (second.status_code, "is slow to answer" in second.text) == (502, True)
            accepted.close()
            assert "did not answer" in first.result().text


def test_an_expired_token_is_rejected(running: Provider) -> None:
    with service_with_provider(running) as service:
        service.clock.advance(hours=1)
        assert "is not valid" in sign_in_by_provider(Visitor(service)).text


def test_an_unreachable_provider_is_reported() -> None:
    settings = {"oidc_issuer": "http://127.0.0.1:9", "oidc_client_id": "x", "oidc_client_secret": "y"}
    with service_at(None, console_url=CONSOLE_URL, **settings) as service:
        answer = Visitor(service).get("/console/sign-in/provider")
        assert (answer.status_code, "did not answer" in answer.text) == (502, True)
