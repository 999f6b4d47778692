"""hashdb as an exchange of python-threatexchange and HMA."""

from __future__ import annotations

from threatexchange.extensions.manifest import ThreatExchangeExtensionManifest

from hashdb_threatexchange.exchange import HashdbSignalExchangeAPI
from hashdb_threatexchange.signals import HashdbTextSignal, HashdbUrlSignal

__all__ = ["TX_MANIFEST", "HashdbSignalExchangeAPI", "HashdbTextSignal", "HashdbUrlSignal"]

TX_MANIFEST = ThreatExchangeExtensionManifest(
    apis=(HashdbSignalExchangeAPI,), signal_types=(HashdbUrlSignal, HashdbTextSignal)
)
