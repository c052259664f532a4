"""TLS keys, certificates, requests and revocation lists, made and checked. Pure: no file, no clock.

Certificates of this site: ECDSA P-256, an authority of its own or one brought along. The common name is the
name the broker's access lists go by; a device's certificate proves a client and nothing else, the broker's a
server and nothing else, so that no lane's key can ever play the broker.
"""

from __future__ import annotations

import enum
import ipaddress
import itertools
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLOCK_SLACK = timedelta(days=1)
"""A certificate or list begins this long ago: a machine whose clock is behind must not refuse it, and with it
everybody."""
LEAST_RSA_BITS = 2048

TlsKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PublicTlsKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey


class Usage(enum.StrEnum):
    CLIENT = "client"
    SERVER = "server"


_PURPOSE = {Usage.CLIENT: ExtendedKeyUsageOID.CLIENT_AUTH, Usage.SERVER: ExtendedKeyUsageOID.SERVER_AUTH}


class CertificateRefused(ValueError):
    """A key, certificate, request or list cannot be used; the text says what was expected."""


# --- bytes <-> values -------------------------------------------------------------------------------------


def make_tls_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def key_pem(key: TlsKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def read_key(pem: bytes, name: str) -> TlsKey:
    """Raises `CertificateRefused`; the text quotes nothing of the key."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateRefused(f"{name}: expected an unencrypted private key as PEM") from error
    if not isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
        raise CertificateRefused(f"{name}: expected an ECDSA or RSA key, found {type(key).__name__}")
    return key


def read_certificates(pem: bytes, name: str) -> tuple[x509.Certificate, ...]:
    """At least one, in the file's order. Raises `CertificateRefused`."""
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except ValueError as error:
        raise CertificateRefused(f"{name}: expected one or several certificates as PEM") from error


def read_revocations(pem: bytes, name: str) -> x509.CertificateRevocationList:
    """Raises `CertificateRefused`."""
    try:
        return x509.load_pem_x509_crl(pem)
    except ValueError as error:
        raise CertificateRefused(f"{name}: expected a certificate revocation list as PEM") from error


def pem_of(
    *made: x509.Certificate | x509.CertificateSigningRequest | x509.CertificateRevocationList,
) -> bytes:
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in made)


def name_of(certificate: x509.Certificate | x509.CertificateSigningRequest) -> str:
    """The common name; empty where there is none or several."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if len(names) == 1 else ""


# --- making -----------------------------------------------------------------------------------------------


def make_authority(key: TlsKey, site: str, now: datetime, days: int) -> x509.Certificate:
    """A root for one site: it may sign certificates of machines, and nothing that signs again."""
    name = _name(site, f"kakou site authority of {site}")
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SLACK)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def make_request(
    key: TlsKey, site: str, name: str, usage: Usage, hosts: Sequence[str]
) -> x509.CertificateSigningRequest:
    """For an authority that is somebody else's."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(_name(site, name))
    for extension, critical in _extensions(name, usage, hosts):
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(key, hashes.SHA256())


def make_certificate(
    authority_key: TlsKey,
    authority: x509.Certificate,
    public: PublicTlsKey,
    site: str,
    name: str,
    usage: Usage,
    hosts: Sequence[str],
    now: datetime,
    days: int,
) -> x509.Certificate:
    """One machine's certificate; it never outlives its authority. Raises `CertificateRefused`."""
    if authority_key.public_key() != authority.public_key():
        raise CertificateRefused("the authority's key and certificate do not belong together")
    ends = min(now + timedelta(days=days), authority.not_valid_after_utc)
    if ends <= now:
        raise CertificateRefused(f"the authority ended on {ends:%Y-%m-%d}: begin a new site folder")
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(site, name))
        .issuer_name(authority.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(max(now - CLOCK_SLACK, authority.not_valid_before_utc))
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(_authority_id(authority), critical=False)
    )
    for extension, critical in _extensions(name, usage, hosts):
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(authority_key, hashes.SHA256())


def make_revocations(
    authority_key: TlsKey,
    authority: x509.Certificate,
    serials: Iterable[tuple[int, datetime]],
    number: int,
    now: datetime,
) -> x509.CertificateRevocationList:
    """The list of revoked serials with the time of each.

    It is valid as long as its authority: brokers refuse every device once their list has run out, and nobody
    fetches a new one for them.
    """
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.subject)
        .last_update(now - CLOCK_SLACK)
        .next_update(authority.not_valid_after_utc)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_authority_id(authority), critical=False)
    )
    for serial, revoked in serials:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(revoked).build()
        )
    return builder.sign(authority_key, hashes.SHA256())


def _name(site: str, name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, site),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _extensions(name: str, usage: Usage, hosts: Sequence[str]) -> list[tuple[x509.ExtensionType, bool]]:
    """A client is named by its own name (NATS maps that to its permissions), a server by its hosts."""
    names = [_host(host) for host in hosts] if usage is Usage.SERVER else [x509.DNSName(name)]
    return [
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_key_usage(signs_certificates=False), True),
        (x509.ExtendedKeyUsage([_PURPOSE[usage]]), True),
        (x509.SubjectAlternativeName(names), False),
    ]


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _authority_id(authority: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    try:
        own = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        key = authority.public_key()
        if not isinstance(key, (ec.EllipticCurvePublicKey, rsa.RSAPublicKey)):
            raise CertificateRefused("the authority: expected an ECDSA or RSA key") from None
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)


# --- checking ---------------------------------------------------------------------------------------------


def authority_problems(chain: Sequence[x509.Certificate], now: datetime) -> list[str]:
    """Why these certificates, the signing one first, cannot be a site's authority."""
    signer = chain[0]
    problems = []
    try:
        is_authority = signer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        is_authority = False
    if not is_authority:
        problems.append(f"{name_of(signer) or 'the first certificate'} is no authority (basic constraints)")
    for lower, upper in itertools.pairwise(chain):
        if not _signed_by(lower, upper):
            problems.append(f"{name_of(lower)} is not signed by the next in the file, {name_of(upper)}")
    if not _signed_by(chain[-1], chain[-1]):
        problems.append(f"the file ends with {name_of(chain[-1])}, expected a root that signed itself")
    problems += [text for each in chain for text in _time_problems(each, now)]
    return problems


def certificate_problems(
    certificate: x509.Certificate,
    key: TlsKey,
    authorities: Sequence[x509.Certificate],
    name: str,
    usage: Usage,
    hosts: Sequence[str],
    now: datetime,
) -> list[str]:
    """Why this certificate cannot be taken for that machine."""
    return [
        *identity_problems(certificate, key, authorities, name, usage, hosts),
        *_time_problems(certificate, now),
    ]


def identity_problems(
    certificate: x509.Certificate,
    key: TlsKey,
    authorities: Sequence[x509.Certificate],
    name: str,
    usage: Usage,
    hosts: Sequence[str] = (),
) -> list[str]:
    """The same whatever the day is."""
    problems = []
    if certificate.public_key() != key.public_key():
        problems.append("it is for another key than the one beside it")
    if name_of(certificate) != name:
        problems.append(f"its common name is {name_of(certificate)!r}, expected {name!r}")
    if not any(_signed_by(certificate, authority) for authority in authorities):
        problems.append(f"it is not signed by {' or '.join(map(name_of, authorities))}")
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        purposes = x509.ExtendedKeyUsage([])
    if _PURPOSE[usage] not in purposes:
        problems.append(f"it has no extended key usage for a {usage.value}")
    if usage is Usage.SERVER:
        covered = _hosts_of(certificate)
        problems += [f"it does not name the host {host}" for host in hosts if host not in covered]
    return problems


def _hosts_of(certificate: x509.Certificate) -> set[str]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return set(names.get_values_for_type(x509.DNSName)) | {
        str(address) for address in names.get_values_for_type(x509.IPAddress)
    }


def _time_problems(certificate: x509.Certificate, now: datetime) -> list[str]:
    problems = []
    if certificate.not_valid_after_utc <= now:
        problems.append(f"{name_of(certificate)} ended on {certificate.not_valid_after_utc:%Y-%m-%d}")
    if certificate.not_valid_before_utc > now:
        problems.append(f"{name_of(certificate)} begins only on {certificate.not_valid_before_utc:%Y-%m-%d}")
    return problems


def _signed_by(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def revocation_problems(
    revocations: x509.CertificateRevocationList, authority: x509.Certificate, now: datetime
) -> list[str]:
    """Why a broker would not go by this list."""
    problems = []
    key = authority.public_key()
    if not isinstance(key, (ec.EllipticCurvePublicKey, rsa.RSAPublicKey)):
        problems.append("its authority has a key of another kind, expected ECDSA or RSA")
    elif not revocations.is_signature_valid(key):
        problems.append(f"it is not signed by {name_of(authority)}")
    ends = revocations.next_update_utc
    if ends is not None and ends <= now:
        problems.append(f"it ended on {ends:%Y-%m-%d}: fetch a newer one")
    return problems
