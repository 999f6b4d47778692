"""Addresses: as what those that requests come from are counted, and which ones this service may connect to."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_UNICAST = IPv6Network("2000::/3")
_SPECIAL = (
    # What Python's tables (of IANA's registries of special purposes) leave among the global ones.
    IPv4Network("192.0.0.0/24"),
    IPv4Network("192.88.99.0/24"),
    IPv6Network("2001::/23"),
    IPv6Network("2002::/16"),
    IPv6Network("3fff::/20"),
)


def network_of(address: str) -> str:
    """As what an address is counted: an IPv6 address as its /64, which one customer has whole; others as they are.

    An IPv4 address that is mapped into IPv6 counts as itself, and what is no address as its text.

    >>> network_of("2001:db8:1:2:3:4:5:6"), network_of("::ffff:192.0.2.7"), network_of("192.0.2.7")
    ('2001:db8:1:2::', '192.0.2.7', '192.0.2.7')
    """
    if ":" not in address:
        return address
    try:
        found = IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(found.ipv4_mapped or IPv6Address(int(found) >> 64 << 64))


def public(address: Address) -> bool:
    """Whether it is an address of the internet, of one machine, and not another one in disguise.

    IPv6 addresses that carry an IPv4 one (mapped, NAT64, 6to4, Teredo) are none: they lead where that one does.
    """
    if isinstance(address, IPv6Address) and address not in _UNICAST:
        return False
    special = any(address in network for network in _SPECIAL)
    return address.is_global and not (special or address.is_multicast or address.is_reserved)


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """Where this service may connect to: addresses of the internet and of some networks; and whether without TLS."""

    networks: tuple[Network, ...] = ()
    plain: bool = False

    def permits(self, address: Address) -> bool:
        """Whether it may connect to this address."""
        return public(address) or any(address in network for network in self.networks)

    def fault(self, scheme: str, host: str) -> str | None:
        """Why it may not ask a host so, as far as that is seen without resolving its name; or None."""
        if scheme != "https" and not (self.plain and scheme == "http"):
            return (
                "takes an address that begins with http:// or https://" if self.plain else "takes an https:// address"
            )
        try:
            address = ip_address(host)
        except ValueError:
            return None
        return None if self.permits(address) else "this address is not of the internet"
