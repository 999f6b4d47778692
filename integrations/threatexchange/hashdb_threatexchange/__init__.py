"""hashdb as an exchange of python-threatexchange and HMA."""

from __future__ import annotations

from threatexchange.extensions.manifest import ThreatExchangeExtensionManifest

from hashdb_threatexchange.exchange import HashdbSignalExchangeAPI

__all__ = ["TX_MANIFEST", "HashdbSignalExchangeAPI"]

TX_MANIFEST = ThreatExchangeExtensionManifest(apis=(HashdbSignalExchangeAPI,))
