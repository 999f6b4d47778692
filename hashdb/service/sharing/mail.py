"""Mail by SMTP: the operator's server, and one attempt to send one mail within a minute."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from hashdb.domain.review.due import DueMail, MailTrouble
from hashdb.service.sharing.safe_http import deadline

Security = Literal["starttls", "tls", "none"]
PORTS: dict[Security, int] = {"starttls": 587, "tls": 465, "none": 25}
"""The usual port of each kind of security."""
_EACH_SECONDS, _SECONDS = 10.0, 45.0
"""Seconds for each step, and for all steps after the greeting."""


class _PasswordUnreadableError(Exception):
    """The file of the password cannot be read."""


def _sign_in(session: smtplib.SMTP, user: str, password: str) -> None:
    try:
        session.login(user, password)
    except UnicodeEncodeError:
        # smtplib signs in with ASCII only.
        raise smtplib.SMTPAuthenticationError(535, "not ASCII") from None


@dataclass(frozen=True, slots=True)
class MailServer:
    """The server that takes the service's mail. The file of the password is read for each mail."""

    host: str
    port: int
    security: Security
    sender: str
    console: str
    """The URL of the console."""
    user: str | None = None
    password_file: Path | None = None

    def send(self, mail: DueMail, now: datetime) -> MailTrouble | None:
        """Send one mail; return why it failed, or None if the server accepted it."""
        try:
            with self._session() as session:
                session.send_message(self.message(mail, now), self.sender, [mail.address])
        except smtplib.SMTPRecipientsRefused as error:
            final = all(code >= 500 for code, _ in error.recipients.values())
            return MailTrouble.ADDRESS if final else MailTrouble.REFUSED
        except smtplib.SMTPAuthenticationError:
            return MailTrouble.SIGN_IN
        except smtplib.SMTPResponseException:
            return MailTrouble.REFUSED
        except smtplib.SMTPServerDisconnected as error:
            # smtplib also raises this where a step takes too long.
            late = isinstance(error.__context__, TimeoutError)
            return MailTrouble.TOO_SLOW if late else MailTrouble.NOT_CONNECTED
        except smtplib.SMTPException:
            # The server does not offer STARTTLS, or no way to sign in that smtplib knows.
            return MailTrouble.NOT_OFFERED
        except ssl.SSLCertVerificationError:
            return MailTrouble.CERTIFICATE
        except TimeoutError:
            return MailTrouble.TOO_SLOW
        except _PasswordUnreadableError:
            return MailTrouble.PASSWORD_FILE
        except (OSError, UnicodeError):
            # Python raises UnicodeError for a host that cannot be a name, like one with an empty label.
            return MailTrouble.NOT_CONNECTED
        return None

    def message(self, mail: DueMail, now: datetime) -> EmailMessage:
        """The message of a mail, with the address of the queue."""
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self.sender, mail.address, mail.subject
        message["Date"] = format_datetime(now)
        message["Message-ID"] = f"<{mail.id}@{self._name}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.text(f"{self.console}/console/cases"))
        return message

    @property
    def _name(self) -> str:
        """The name of this client: that of the console, so that the machine's own name stays private."""
        # SMTP takes no other characters.
        name = urlsplit(self.console).hostname or ""
        return name if name and name.isascii() else "localhost"

    @contextmanager
    def _session(self) -> Iterator[smtplib.SMTP]:
        """A session that is signed in, and is cut when it takes too long."""
        password, context = self._password(), ssl.create_default_context()
        with closing(self._connect(context)) as session:
            try:
                with deadline(_SECONDS, lambda: session.sock):
                    if self.security == "starttls":
                        session.starttls(context=context)
                    if self.user is not None and password is not None:
                        _sign_in(session, self.user, password)
                    yield session
            finally:
                # Whatever follows a mail that was accepted does not make it fail.
                with suppress(OSError), deadline(_EACH_SECONDS, lambda: session.sock):
                    session.quit()

    def _password(self) -> str | None:
        try:
            return None if self.password_file is None else self.password_file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise _PasswordUnreadableError from None

    def _connect(self, context: ssl.SSLContext) -> smtplib.SMTP:
        if self.security == "tls":
            return smtplib.SMTP_SSL(self.host, self.port, self._name, timeout=_EACH_SECONDS, context=context)
        return smtplib.SMTP(self.host, self.port, self._name, timeout=_EACH_SECONDS)
