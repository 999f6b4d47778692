"""hashdb: a shared database of perceptual hashes of removed terrorist content."""

__version__ = "0.1.0.dev0"
