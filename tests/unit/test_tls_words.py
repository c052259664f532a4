"""What is said of a TLS failure: whose certificate, and what to do."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

import pytest

from sync.enrolment.certificates import Usage, make_authority, make_certificate, make_tls_key, pem_of
from sync.link.tls_words import end_of, said_of, said_of_own, said_of_text

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)


def theirs(message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = message
    return error


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (theirs("certificate has expired"), "the broker's certificate has ended"),
        (theirs("certificate is not yet valid"), "is the clock of this machine right?"),
        (theirs("Hostname mismatch, certificate is not valid for 'x'."), "not for this host"),
        (theirs("IP address mismatch, certificate is not valid for '1.2.3.4'."), "not for this address"),
        (theirs("self-signed certificate in certificate chain"), "another authority than ca_file"),
        (theirs("unable to get local issuer certificate"), "another authority than ca_file"),
        (theirs("unsuitable certificate purpose"), "not a broker's"),
        (ssl.SSLError(1, "[SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED]"), "says that our certificate has ended"),
        (ssl.SSLError(1, "[SSL: SSLV3_ALERT_CERTIFICATE_REVOKED]"), "our certificate is revoked"),
        (ssl.SSLError(1, "[SSL: TLSV1_ALERT_UNKNOWN_CA]"), "another authority than its own"),
        (ssl.SSLError(1, "[SSL: WRONG_VERSION_NUMBER]"), "speaks plain text on this port"),
        (ssl.SSLError(1, "[SSL: TLSV1_ALERT_PROTOCOL_VERSION]"), "no TLS 1.2 or newer"),
    ],
)
def test_a_failure_is_said_in_words_with_the_librarys_own_behind(error: ssl.SSLError, said: str) -> None:
    text = said_of(error)
    assert said in text
    assert (getattr(error, "verify_message", "") or str(error)) in text


def test_a_failure_nobody_has_words_for_is_told_as_it_is() -> None:
    assert said_of(ssl.SSLError(1, "something new")) == "TLS: something new"


def test_an_alert_is_known_in_a_librarys_log_and_other_lines_are_none() -> None:
    line = "failed to receive on socket: [SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert"
    assert "certificate_file and tls_key_file are missing" in said_of_text(line)
    assert said_of_text("failed to receive on socket: [Errno 104] Connection reset by peer") == ""


def test_our_own_certificate_is_looked_at_for_its_days() -> None:
    key = make_tls_key()
    authority = make_authority(key, "s", NOW, 100)
    own = make_certificate(key, authority, make_tls_key().public_key(), "s", "l", Usage.CLIENT, (), NOW, 10)
    pem = pem_of(own, authority)
    assert end_of(pem) == NOW + timedelta(days=10)
    assert said_of_own(pem, "tls.pem", NOW) == ""
    ended = said_of_own(pem, "tls.pem", NOW + timedelta(days=10))
    assert ended == "our certificate tls.pem ended on 2026-03-11: renew it"
    early = said_of_own(pem, "tls.pem", NOW - timedelta(days=2))
    assert "begins on 2026-02-28: is the clock" in early
    assert said_of_own(b"hello", "tls.pem", NOW) == "tls.pem holds no certificate"
    assert end_of(b"hello") is None
