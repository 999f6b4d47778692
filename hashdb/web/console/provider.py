"""/console/sign-in/provider: signing in by OpenID Connect: the code flow, with PKCE (RFC 7636), state and nonce.

All three are made of the secret of the visit, which only this browser has, so nothing is kept here between the two
requests; the code that the provider sends back is good once.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Annotated, TypeVar

from flask import Response, request, url_for
from pydantic import BaseModel, Field, JsonValue, ValidationError

from hashdb.domain.accounts.users import Identity
from hashdb.errors import LimitReached, SignInRefused
from hashdb.service.accounts import sessions
from hashdb.web.console import guard, pages
from hashdb.web.console.pages import Form
from hashdb.web.console.sessions import address, ask, begun, status_of
from hashdb.web.context import app_state, hashdb

# What takes a tenth of the service's start to load is loaded where somebody signs in so.
if TYPE_CHECKING:
    from authlib.integrations.httpx_client import OAuth2Client

blueprint = pages.blueprint_of("provider", __name__, "/sign-in/provider")
_SECONDS = 10
_LEEWAY = 60
_FRESH = 600.0
"""Seconds for which it is known what a provider says of itself."""
_PATIENCE = 1.0
"""Seconds that a request waits for another one which asks the provider."""
_known: dict[str, tuple[float, _Discovered]] = {}
_asking = Lock()
_ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
_WELL_KNOWN = "/.well-known/openid-configuration"
_Read = TypeVar("_Read", bound=BaseModel)


class _Discovered(BaseModel):
    """What a provider says of itself."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class _Tokens(BaseModel):
    """What a provider answers to a code."""

    id_token: str


class _Claims(BaseModel):
    """What is read of an ID token, beside the claim that is the user's name."""

    sub: Annotated[str, Field(max_length=255)]
    nonce: str
    aud: str | list[str]
    azp: str | None = None
    email_verified: bool = False
    name: JsonValue = None


@blueprint.get("")
def go() -> Response:
    """Send the browser to the provider."""
    try:
        with _client() as client:
            found = _told(lambda: _discover(client))
            there, _ = client.create_authorization_url(
                found.authorization_endpoint,
                state=guard.derived("state"),
                nonce=guard.derived("nonce"),
                code_verifier=_verifier(),
            )
    except SignInRefused as error:
        return ask(Form().refused(error), status=502)
    response = pages.to(there)
    if not guard.get(guard.SESSION):
        guard.put(response, guard.VISIT, guard.visit())
    return response


@blueprint.get("/back")
def come_back() -> Response:
    """Begin a session of whom the provider recognised."""
    try:
        if not guard.is_derived("state", request.args.get("state", "")) or "code" not in request.args:
            raise SignInRefused("the provider sent you back without having been asked by this browser: begin again")
        # Whoever sends codes that are none costs a request to the provider each time, and so is counted before.
        sessions.approach(hashdb(), address())
        claims = _told(lambda: _claims(request.args["code"]))
        identity = Identity(app_state().settings.oidc_issuer, claims.sub)
        opened = sessions.admit(hashdb(), _name(claims), identity, address())
    except (SignInRefused, LimitReached) as error:
        return ask(Form().refused(error), status=status_of(error))
    return begun(opened, url_for("console.landing"))


def _client() -> OAuth2Client:
    settings = app_state().settings
    secret = settings.oidc_client_secret
    if settings.oidc_issuer is None or secret is None:
        raise SignInRefused("there is no provider here")
    from authlib.integrations.httpx_client import OAuth2Client

    return OAuth2Client(
        settings.oidc_client_id,
        secret.get_secret_value(),
        scope="openid profile email",
        redirect_uri=f"{settings.console_url}{url_for('console.provider.come_back')}",
        code_challenge_method="S256",
        timeout=_SECONDS,
    )


def _claims(code: str) -> _Claims:
    """What the provider says of whom it sent with this code, once its signature and all that it is for are checked."""
    from joserfc import jwt
    from joserfc.jwk import KeySet

    settings = app_state().settings
    with _client() as client:
        found = _discover(client)
        given = client.fetch_token(found.token_endpoint, code=code, code_verifier=_verifier())
        keys = KeySet.import_key_set(client.request("GET", found.jwks_uri, withhold_token=True).json())
    token = jwt.decode(_read(_Tokens, given).id_token, keys, algorithms=_ALGORITHMS)
    expected = jwt.JWTClaimsRegistry(
        now=int(hashdb().now().timestamp()),
        leeway=_LEEWAY,
        iss={"essential": True, "value": settings.oidc_issuer or ""},
        aud={"essential": True, "value": settings.oidc_client_id or ""},
        exp={"essential": True},
        sub={"essential": True},
    )
    expected.validate(token.claims)
    claims = _read(_Claims, {**token.claims, "name": token.claims.get(settings.oidc_claim)})
    # OpenID Connect Core 1.0, section 3.1.3.7: a token that another client obtained is not for this one.
    several = isinstance(claims.aud, list) and len(claims.aud) > 1
    if claims.azp != settings.oidc_client_id and (several or claims.azp is not None):
        raise SignInRefused("the provider's answer is for another client")
    if not guard.is_derived("nonce", claims.nonce):
        raise SignInRefused("the provider answered another question: begin again")
    return claims


def _name(claims: _Claims) -> str:
    if not isinstance(claims.name, str):
        raise SignInRefused("the provider names no user")
    if app_state().settings.oidc_claim == "email" and not claims.email_verified:
        raise SignInRefused("the provider has not verified the address of mail")
    return claims.name


def _discover(client: OAuth2Client) -> _Discovered:
    """What the provider says of itself, asked for now and then and by one request at a time: anybody can cause it."""
    issuer = app_state().settings.oidc_issuer or ""
    if not _asking.acquire(timeout=_PATIENCE):
        raise SignInRefused("the provider does not answer another request: try again in some seconds")
    try:
        at, discovered = _known.get(issuer, (-_FRESH, None))
        if discovered is None or time.monotonic() - at >= _FRESH:
            discovered = _asked(client, issuer)
            _known[issuer] = time.monotonic(), discovered
        return discovered
    finally:
        _asking.release()


def _asked(client: OAuth2Client, issuer: str) -> _Discovered:
    found = client.request("GET", issuer.rstrip("/") + _WELL_KNOWN, withhold_token=True)
    discovered = _read(_Discovered, found.raise_for_status().json())
    if discovered.issuer != issuer:
        raise SignInRefused("the provider calls itself otherwise than it is called here")
    return discovered


def _told(ask_it: Callable[[], _Read]) -> _Read:
    """What the provider tells. Raises SignInRefused where it is away, or says what is not to be believed."""
    from joserfc.errors import JoseError

    try:
        return ask_it()
    except SignInRefused:
        raise
    except (JoseError, ValidationError, ValueError) as error:
        raise SignInRefused("the provider's answer cannot be believed") from error
    except Exception as error:
        # The client, the network and TLS each have errors of their own.
        raise SignInRefused("the provider did not answer as it should") from error


def _read(model: type[_Read], value: object) -> _Read:
    return model.model_validate(value)


def _verifier() -> str:
    # 43 to 128 characters, by RFC 7636.
    return hashlib.sha256(guard.derived("verifier").encode()).hexdigest()
