"""Which `Host` a page of ours answers to. A name in it that is not ours is another site's, pointed here to
reach us through a browser.
"""

from __future__ import annotations

import ipaddress


def name_and_port(host: str, usual_port: str) -> tuple[str, str]:
    """Of a `Host` header, as written; an IPv6 address keeps its brackets."""
    if host.endswith("]") or ":" not in host:
        return host, usual_port
    name, _, port = host.rpartition(":")
    return name, port


def is_this_host(name: str, configured: str) -> bool:
    """An address is: it reaches nobody but whom it names. `configured`: our own name, in lower case."""
    if name.lower() in ("localhost", configured):
        return True
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
