"""Ledger, SQL: events, Merkle tree, checkpoints, proofs, signing, verification."""
