"""What TLS says when it fails, in words that say whose certificate is wrong and what to do. Pure.

A library's own text is for its authors ("sslv3 alert certificate unknown"); who stands at a lane needs the
file, the host and the date.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime

from cryptography import x509

_THEIRS = (
    # OpenSSL's X509_V_ERR texts (verify_message), as its x509_txt.c has them.
    ("certificate has expired", "the broker's certificate has ended: have it renewed there"),
    (
        "certificate is not yet valid",
        "the broker's certificate is not valid yet: is the clock of this machine right?",
    ),
    ("hostname mismatch", "the broker's certificate is not for this host"),
    ("ip address mismatch", "the broker's certificate is not for this address"),
    ("self-signed certificate", "the broker's certificate is of another authority than ca_file"),
    (
        "unable to get local issuer certificate",
        "the broker's certificate is of another authority than ca_file",
    ),
    ("certificate signature failure", "the broker's certificate is of another authority than ca_file"),
    ("unsuitable certificate purpose", "the broker shows a certificate that is not a broker's"),
    ("unsupported certificate purpose", "the broker shows a certificate that is not a broker's"),
    ("certificate revoked", "the broker's certificate is revoked"),
)
_OURS = (
    # TLS alerts (RFC 8446 section 6.2), as OpenSSL names them.
    ("alert certificate expired", "the broker says that our certificate has ended"),
    ("alert certificate revoked", "the broker says that our certificate is revoked"),
    (
        "alert certificate required",
        "the broker wants a certificate: certificate_file and tls_key_file are missing",
    ),
    ("alert unknown ca", "the broker says that our certificate is of another authority than its own"),
    ("alert bad certificate", "the broker does not take our certificate"),
    ("alert unsupported certificate", "the broker does not take our certificate"),
    ("alert certificate unknown", "the broker does not take our certificate"),
    ("alert access denied", "the broker does not take our certificate"),
    ("alert protocol version", "the broker speaks no TLS 1.2 or newer"),
    ("unsupported protocol", "the broker speaks no TLS 1.2 or newer"),
    ("wrong version number", "the broker speaks plain text on this port, not TLS"),
)


def said_of(error: BaseException) -> str:
    """In plain words, with the library's own behind them."""
    own = getattr(error, "verify_message", "") or str(error)
    text = own.lower().replace("_", " ")
    for said, meaning in _THEIRS if isinstance(error, ssl.SSLCertVerificationError) else (*_OURS, *_THEIRS):
        if said in text:
            return f"{meaning} ({own})"
    return f"TLS: {own}"


def said_of_text(text: str) -> str:
    """Of an alert a library only wrote into its log; empty where it is none."""
    low = text.lower().replace("_", " ")
    return next((meaning for said, meaning in _OURS if said in low), "")


def end_of(pem: bytes) -> datetime | None:
    """When the first certificate of a file ends; None where there is none."""
    try:
        return x509.load_pem_x509_certificates(pem)[0].not_valid_after_utc
    except ValueError:
        return None


def said_of_own(pem: bytes, name: str, now: datetime) -> str:
    """Why a broker may not take our certificate, as far as can be seen in it; empty where nothing is."""
    try:
        own = x509.load_pem_x509_certificates(pem)[0]
    except ValueError:
        return f"{name} holds no certificate"
    if own.not_valid_after_utc <= now:
        return f"our certificate {name} ended on {own.not_valid_after_utc.astimezone(UTC):%Y-%m-%d}: renew it"
    if own.not_valid_before_utc > now:
        begins = own.not_valid_before_utc.astimezone(UTC)
        return f"our certificate {name} begins on {begins:%Y-%m-%d}: is the clock of this machine right?"
    return ""
