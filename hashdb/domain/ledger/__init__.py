"""Ledger, values and rules: events, Merkle tree, checkpoints, proofs, signing, verification."""
