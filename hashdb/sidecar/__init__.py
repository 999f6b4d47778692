"""The sidecar: answers on the member's machine, from its local copy, what the service answers over the network."""
