"""Addresses that others send: the service connects only to public ones, in every spelling."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from hashdb.domain.addresses import EgressPolicy, is_public, network_of

PRIVATE = [
    "127.0.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1",
    "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1", "192.0.0.8", "192.88.99.1",
    "::1", "::", "fe80::1", "fc00::1", "fd00::1", "fec0::1", "ff02::1", "::127.0.0.1",
    "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::7f00:1",
    "2002:7f00:1::", "2002:808:808::", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "3fff::1", "5f00::1",
    "100::1", "4000::1",
]  # fmt: skip


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::FFFF:c000:207", "192.0.2.7"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::"),
        ("2001:DB8:1:2::1", "2001:db8:1:2::"),
        ("2001:db8:1:3::1", "2001:db8:1:3::"),
        ("fe80::1%eth0", "fe80::"),
        ("::1", "::"),
        ("", ""),
        ("unix:", "unix:"),
        ("no:address", "no:address"),
    ],
)
def test_network_of_returns_the_network_of_an_address(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_or_reserved_address_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))
    assert EgressPolicy().fault("https", address) == "this is not a public address"


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700:4700::1111", "2a00:1450::1"])
def test_an_internet_address_is_public(address: str) -> None:
    assert is_public(ip_address(address))
    assert EgressPolicy().fault("https", address) is None


def test_only_the_allowed_private_networks_are_permitted() -> None:
    policy = EgressPolicy((ip_network("10.2.0.0/16"), ip_network("fd00:1::/64")))
    for address in ("10.2.3.4", "fd00:1::7", "8.8.8.8"):
        assert policy.permits(ip_address(address))
    for address in ("10.3.0.1", "fd00:2::7", "::ffff:10.2.3.4", "127.0.0.1"):
        assert not policy.permits(ip_address(address))


def test_a_url_without_tls_is_rejected_unless_it_is_allowed() -> None:
    assert EgressPolicy().fault("http", "example.org") == "must be a URL that begins with https://"
    assert EgressPolicy(allows_http=True).fault("http", "example.org") is None
    for scheme in ("ftp", "file", "", "gopher"):
        assert EgressPolicy(allows_http=True).fault(scheme, "example.org") is not None
