"""/console/sign-in/provider: sign-in by OpenID Connect: the code flow, with PKCE (RFC 7636), state and nonce.

All three are derived from the secret of the visit, which only this browser has. So the service stores nothing between
the two requests. The provider accepts each code once.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from threading import Lock
from typing import TYPE_CHECKING, Annotated, TypeVar

from flask import Response, request, url_for
from pydantic import BaseModel, Field, JsonValue, ValidationError

from hashdb.domain.accounts.users import ProviderIdentity
from hashdb.errors import LimitReached, SignInRefused
from hashdb.service.accounts import sessions
from hashdb.web.console import guard, pages
from hashdb.web.console.pages import Form
from hashdb.web.console.sessions import client_address, redirect_signed_in, sign_in_page, status_of
from hashdb.web.context import app_state, hashdb

# Importing it takes a tenth of the service's start, so it is imported at the first such sign-in.
if TYPE_CHECKING:
    from authlib.integrations.httpx_client import OAuth2Client

blueprint = pages.blueprint_of("provider", "/sign-in/provider")
_TIMEOUT_SECONDS = 10
_CLOCK_LEEWAY_SECONDS = 60
_CACHE_SECONDS = 600.0
"""How long the metadata of a provider is cached."""
_WAIT_SECONDS = 1.0
"""How long a request waits for another one that reads the metadata."""
_cache: dict[str, tuple[float, _Metadata]] = {}
"""By issuer: when the metadata was read, by `time.monotonic`, and the metadata."""
_lock = Lock()
_ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
_WELL_KNOWN = "/.well-known/openid-configuration"
_Answer = TypeVar("_Answer")


class _Metadata(BaseModel):
    """The metadata of a provider (OpenID Connect Discovery 1.0)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str


class _Tokens(BaseModel):
    """The token response of a provider."""

    id_token: str


class _Claims(BaseModel):
    """The claims of an ID token; `name` holds the claim that HASHDB_OIDC_CLAIM names."""

    sub: Annotated[str, Field(max_length=255)]
    nonce: str
    aud: str | list[str]
    azp: str | None = None
    email_verified: bool = False
    name: JsonValue = None


@blueprint.get("")
def go() -> Response:
    """Redirect the browser to the provider."""
    try:
        with _client() as client:
            metadata = _ask_provider(lambda: _get_metadata(client))
            sign_in_url, _ = client.create_authorization_url(
                metadata.authorization_endpoint,
                state=guard.derive_secret("state"),
                nonce=guard.derive_secret("nonce"),
                code_verifier=_code_verifier(),
            )
    except SignInRefused as error:
        return sign_in_page(Form().refused(error), status=502)
    response = pages.redirect(sign_in_url)
    if not guard.cookie(guard.SESSION):
        guard.set_cookie(response, guard.VISIT, guard.visit_secret())
    return response


@blueprint.get("/back")
def come_back() -> Response:
    """Begin a session of the user that the provider authenticated."""
    try:
        if not guard.verify_secret("state", request.args.get("state", "")) or "code" not in request.args:
            raise SignInRefused("the provider’s answer does not belong to a sign-in of this browser: sign in again")
        # Each false code costs a request to the provider, so attempts are counted before it is sent.
        sessions.count_provider_attempt(hashdb(), client_address())
        claims = _ask_provider(lambda: _get_claims(request.args["code"]))
        identity = ProviderIdentity(app_state().settings.oidc_issuer, claims.sub)
        opened = sessions.sign_in_by_provider(hashdb(), _user_name(claims), identity, client_address())
    except (SignInRefused, LimitReached) as error:
        return sign_in_page(Form().refused(error), status=status_of(error))
    return redirect_signed_in(opened, url_for("console.landing"))


def _client() -> OAuth2Client:
    """The client of the provider. Raises SignInRefused if the service has none."""
    settings = app_state().settings
    secret = settings.oidc_client_secret
    if settings.oidc_issuer is None or secret is None:
        raise SignInRefused("this service has no sign-in provider: sign in with a password")
    from authlib.integrations.httpx_client import OAuth2Client

    return OAuth2Client(
        settings.oidc_client_id,
        secret.get_secret_value(),
        scope="openid profile email",
        redirect_uri=f"{settings.console_url}{url_for('console.provider.come_back')}",
        code_challenge_method="S256",
        timeout=_TIMEOUT_SECONDS,
    )


def _get_claims(code: str) -> _Claims:
    """The claims of the user behind a code of the provider; signature, audience, expiry and nonce are verified."""
    from joserfc import jwt
    from joserfc.jwk import KeySet

    settings = app_state().settings
    with _client() as client:
        metadata = _get_metadata(client)
        tokens = client.fetch_token(metadata.token_endpoint, code=code, code_verifier=_code_verifier())
        keys = KeySet.import_key_set(client.request("GET", metadata.jwks_uri, withhold_token=True).json())
    token = jwt.decode(_Tokens.model_validate(tokens).id_token, keys, algorithms=_ALGORITHMS)
    expected = jwt.JWTClaimsRegistry(
        now=int(hashdb().now().timestamp()),
        leeway=_CLOCK_LEEWAY_SECONDS,
        iss={"essential": True, "value": settings.oidc_issuer or ""},
        aud={"essential": True, "value": settings.oidc_client_id or ""},
        exp={"essential": True},
        sub={"essential": True},
    )
    expected.validate(token.claims)
    claims = _Claims.model_validate({**token.claims, "name": token.claims.get(settings.oidc_claim)})
    # OpenID Connect Core 1.0, section 3.1.3.7: a token that another client obtained is not for this one.
    several = isinstance(claims.aud, list) and len(claims.aud) > 1
    if claims.azp != settings.oidc_client_id and (several or claims.azp is not None):
        raise SignInRefused("the provider’s answer is for another client: tell the operator")
    if not guard.verify_secret("nonce", claims.nonce):
        raise SignInRefused("the provider’s answer belongs to another sign-in: sign in again")
    return claims


def _user_name(claims: _Claims) -> str:
    """The name of the user. Raises SignInRefused."""
    if not isinstance(claims.name, str):
        raise SignInRefused("the provider sent no user name: tell the operator")
    if app_state().settings.oidc_claim == "email" and not claims.email_verified:
        raise SignInRefused("the provider has not verified your email address: verify it there, then sign in again")
    return claims.name


def _get_metadata(client: OAuth2Client) -> _Metadata:
    """The metadata of the provider, from a cache. One request at a time reads it: any visitor can trigger it."""
    issuer = app_state().settings.oidc_issuer or ""
    if not _lock.acquire(timeout=_WAIT_SECONDS):
        raise SignInRefused("the provider is slow to answer: try again in some seconds")
    try:
        read_at, metadata = _cache.get(issuer, (-_CACHE_SECONDS, None))
        if metadata is None or time.monotonic() - read_at >= _CACHE_SECONDS:
            metadata = _request_metadata(client, issuer)
            _cache[issuer] = time.monotonic(), metadata
        return metadata
    finally:
        _lock.release()


def _request_metadata(client: OAuth2Client, issuer: str) -> _Metadata:
    response = client.request("GET", issuer.rstrip("/") + _WELL_KNOWN, withhold_token=True)
    metadata = _Metadata.model_validate(response.raise_for_status().json())
    if metadata.issuer != issuer:
        raise SignInRefused("the provider’s issuer differs from HASHDB_OIDC_ISSUER: tell the operator")
    return metadata


def _ask_provider(request_provider: Callable[[], _Answer]) -> _Answer:
    """The result of a request to the provider. Raises SignInRefused if that fails or its answer is not valid."""
    from joserfc.errors import JoseError

    try:
        return request_provider()
    except SignInRefused:
        raise
    except (JoseError, ValidationError, ValueError) as error:
        raise SignInRefused("the provider’s answer is not valid: sign in again, or tell the operator") from error
    except Exception as error:
        # The client, the network and TLS each raise their own errors.
        raise SignInRefused("the provider did not answer: try again later, or tell the operator") from error


def _code_verifier() -> str:
    # 43 to 128 characters, by RFC 7636.
    return hashlib.sha256(guard.derive_secret("verifier").encode()).hexdigest()
