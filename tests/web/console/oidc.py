"""A provider of OpenID Connect as a process of its own on 127.0.0.1, which lets in whomever it is told to."""

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
    """One that runs: its issuer, and what it tells."""

    def __init__(self, issuer: str, told: Path) -> None:
        self.issuer = issuer
        self._told = told

    def tell(self, back: str, **claims: Any) -> None:
        """Tell these claims of its one user from now on, to who is sent back there.

        A claim of the value None is left out; `nonce` and `aud` replace what is right.
        """
        self._told.write_text(json.dumps({"back": back, "claims": claims}))


@contextmanager
def provider(folder: Path) -> Iterator[Provider]:
    """A provider that runs as long as the block."""
    told, out = folder / "claims.json", folder / "provider.log"
    with out.open("wb") as file:
        process = subprocess.Popen([sys.executable, __file__, str(told)], stdout=subprocess.PIPE, stderr=file)
    assert process.stdout is not None
    try:
        until = time.monotonic() + _STARTS_WITHIN
        line = process.stdout.readline().decode().strip()
        assert line and time.monotonic() < until, out.read_text()
        yield Provider(line, told)
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def _read(told: Path) -> dict[str, Any]:
    asked: dict[str, Any] = json.loads(told.read_text())
    return asked


def main(told: Path) -> None:
    """Serve until ended."""
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
            return bool(uri == _read(told)["back"])

        def check_grant_type(self, kind: str) -> bool:
            return kind == "authorization_code"

        def check_response_type(self, kind: str) -> bool:
            return kind == "code"

        def get_allowed_scope(self, scope: str) -> str:
            return scope

        def get_default_redirect_uri(self) -> None:
            return None

    class Code:
        def __init__(self, asked_for: Any) -> None:
            self.payload = asked_for.payload
            self.challenge = asked_for.payload.data.get("code_challenge")
            self.code_challenge, self.code_challenge_method = self.challenge, "S256"
            self.nonce = asked_for.payload.data.get("nonce")

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
        def save_authorization_code(self, code: str, asked_for: Any) -> None:
            codes[code] = Code(asked_for)

        def query_authorization_code(self, code: str, client: Client) -> Code | None:
            return codes.get(code)

        def delete_authorization_code(self, code: Code) -> None:
            codes.clear()

        def authenticate_user(self, code: Code) -> str:
            return "the one user"

    class OpenID(OpenIDCode):  # type: ignore[misc]
        def exists_nonce(self, nonce: str, asked_for: Any) -> bool:
            return False

        def get_jwt_config(self, *_: object) -> dict[str, Any]:
            return {"key": key, "alg": "RS256", "iss": issuer, "exp": 300}

        def generate_user_info(self, user: str, scope: str) -> Any:
            return UserInfo({name: value for name, value in _read(told)["claims"].items() if value is not None})

    authority = AuthorizationServer(app, query_client=lambda id: Client(), save_token=lambda token, asked_for: None)
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
