"""Addresses that others name and this service connects to: which of them it may."""

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


def public(address: Address) -> bool:
    """Whether it is an address of the internet, of one machine, and not another one in disguise.

    IPv6 addresses that carry an IPv4 one (mapped, NAT64, 6to4, Teredo) are none: they lead where that one does.
    """
    if isinstance(address, IPv6Address) and address not in _UNICAST:
        return False
    special = any(address in network for network in _SPECIAL)
    return address.is_global and not (special or address.is_multicast or address.is_reserved)


@dataclass(frozen=True, slots=True)
class Reach:
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
