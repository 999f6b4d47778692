"""A provider of OpenID Connect in a separate process on 127.0.0.1. A test chooses the claims of its only user."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

CLIENT, SECRET = "console", "secret-of-the-console"
_STARTS_WITHIN = 30.0


class Provider:
    """A running provider: its issuer, and the file of its claims."""

    def __init__(self, issuer: str, claims_file: Path) -> None:
        self.issuer = issuer
        self._claims_file = claims_file

    def set_claims(self, redirect_uri: str, **claims: Any) -> None:
        """Send these claims of the provider's only user from now on, to clients with this redirect URI.

        A claim with the value None is left out. `nonce` and `aud` replace the right values.
        """
        self._claims_file.write_text(json.dumps({"redirect_uri": redirect_uri, "claims": claims}))


@contextmanager
def provider(folder: Path) -> Iterator[Provider]:
    """Run a provider for the length of the block."""
    claims_file, errors = folder / "claims.json", folder / "provider.log"
    with errors.open("wb") as file:
        process = subprocess.Popen([sys.executable, __file__, str(claims_file)], stdout=subprocess.PIPE, stderr=file)
    assert process.stdout is not None
    try:
        deadline = time.monotonic() + _STARTS_WITHIN
        issuer = process.stdout.readline().decode().strip()
        assert issuer and time.monotonic() < deadline, errors.read_text()
        yield Provider(issuer, claims_file)
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def _read(claims_file: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(claims_file.read_text())
    return content


def main(claims_file: Path) -> None:
    """Serve until the process is terminated."""
    from authlib.integrations.flask_oauth2 import AuthorizationServer
    from authlib.oauth2.rfc6749.grants import AuthorizationCodeGrant
    from authlib.oauth2.rfc7636 import CodeChallenge
    from authlib.oidc.core import UserInfo
    from authlib.oidc.core.grants import OpenIDCode
    from flask import Flask, jsonify, request
    from joserfc.jwk import RSAKey

    app = Flask(__name__)
    key = RSAKey.generate_key(2048, {"kid": "one", "use": "sig", "alg": "RS256"})
    codes: dict[str, Any] = {}
    server = make_server("127.0.0.1", 0, app, handler_class=_Quiet)
    issuer = f"http://127.0.0.1:{server.server_port}"

    class Client:
        client_id = CLIENT

        def get_client_id(self) -> str:
            return CLIENT

        def check_client_secret(self, secret: str) -> bool:
            return secret == SECRET

        def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
            return method == "client_secret_basic"

        def check_redirect_uri(self, uri: str) -> bool:
            return bool(uri == _read(claims_file)["redirect_uri"])

        def check_grant_type(self, kind: str) -> bool:
            return kind == "authorization_code"

        def check_response_type(self, kind: str) -> bool:
            return kind == "code"

        def get_allowed_scope(self, scope: str) -> str:
            return scope

        def get_default_redirect_uri(self) -> None:
            return None

    class Code:
        def __init__(self, authorization_request: Any) -> None:
            self.payload = authorization_request.payload
            self.challenge = authorization_request.payload.data.get("code_challenge")
            self.code_challenge, self.code_challenge_method = self.challenge, "S256"
            self.nonce = authorization_request.payload.data.get("nonce")

        def get_redirect_uri(self) -> str:
            return str(self.payload.redirect_uri)

        def get_scope(self) -> str:
            return "openid profile email"

        def get_nonce(self) -> str:
            return str(self.nonce)

        def get_auth_time(self) -> int:
            return int(time.time())

        def get_acr(self) -> None:
            return None

        def get_amr(self) -> None:
            return None

    class Grant(AuthorizationCodeGrant):  # type: ignore[misc]
        def save_authorization_code(self, code: str, authorization_request: Any) -> None:
            codes[code] = Code(authorization_request)

        def query_authorization_code(self, code: str, client: Client) -> Code | None:
            return codes.get(code)

        def delete_authorization_code(self, code: Code) -> None:
            codes.clear()

        def authenticate_user(self, code: Code) -> str:
            return "the one user"

    class OpenID(OpenIDCode):  # type: ignore[misc]
        def exists_nonce(self, nonce: str, authorization_request: Any) -> bool:
            return False

        def get_jwt_config(self, *_: object) -> dict[str, Any]:
            return {"key": key, "alg": "RS256", "iss": issuer, "exp": 300}

        def generate_user_info(self, user: str, scope: str) -> Any:
            return UserInfo({name: value for name, value in _read(claims_file)["claims"].items() if value is not None})

    authority = AuthorizationServer(
        app, query_client=lambda id: Client(), save_token=lambda token, authorization_request: None
    )
    authority.register_grant(Grant, [OpenID(require_nonce=True), CodeChallenge(required=True)])

    @app.get("/.well-known/openid-configuration")
    def about() -> Any:
        return jsonify(
            issuer=issuer,
            authorization_endpoint=f"{issuer}/authorize",
            token_endpoint=f"{issuer}/token",
            jwks_uri=f"{issuer}/keys",
        )

    @app.get("/keys")
    def keys() -> Any:
        return jsonify(keys=[key.as_dict(private=False)])

    @app.get("/authorize")
    def authorize() -> Any:
        grant = authority.get_consent_grant(end_user="the one user")
        return authority.create_authorization_response(grant=grant, grant_user="the one user")

    @app.post("/token")
    def token() -> Any:
        assert request.form["code_verifier"]
        return authority.create_token_response()

    sys.stdout.write(f"{issuer}\n")
    sys.stdout.flush()
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
