"""Addresses: the network that a client address counts as, and the addresses that the service may connect to."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NOT_PUBLIC = (
    # Networks that Python's tables (from IANA's special-purpose registries) count as global.
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv6Network("2001::/23"),
    IPv6Network("2002::/16"),
    IPv6Network("3fff::/20"),
)


def network_of(address: str) -> str:
    """The address under which a client is counted, for example by its failed sign-ins.

    Of an IPv6 address this is the /64 network, since one customer has all addresses in it. An IPv4-mapped IPv6 address
    becomes the IPv4 address. Any other text is returned unchanged.

    >>> network_of("2001:db8:1:2:3:4:5:6"), network_of("::ffff:192.0.2.7"), network_of("192.0.2.7")
    ('2001:db8:1:2::', '192.0.2.7', '192.0.2.7')
    """
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64))


def is_public(address: Address) -> bool:
    """Whether this is a public unicast address.

    IPv6 addresses that embed an IPv4 one (mapped, NAT64, 6to4, Teredo) are not: they lead to the IPv4 address.
    """
    if isinstance(address, IPv6Address) and address not in _GLOBAL_UNICAST:
        return False
    special = any(address in network for network in _NOT_PUBLIC)
    return address.is_global and not (special or address.is_multicast or address.is_reserved)


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """Where the service may connect to: public addresses, and the addresses in `networks`."""

    networks: tuple[Network, ...] = ()
    allows_http: bool = False
    """Whether URLs may begin with `http://`: connections without TLS."""

    def permits(self, address: Address) -> bool:
        """Whether the service may connect to an address."""
        return is_public(address) or any(address in network for network in self.networks)

    def fault(self, scheme: str, host: str) -> str | None:
        """Why the service may not connect to a host by this scheme, or None.

        A host name is not looked up: `permits` checks its addresses when the service connects.
        """
        schemes = ("http", "https") if self.allows_http else ("https",)
        if scheme not in schemes:
            return f"must be a URL that begins with {' or '.join(f'{name}://' for name in schemes)}"
        try:
            address = ip_address(host)
        except ValueError:
            return None
        return None if self.permits(address) else "this is not a public address"
