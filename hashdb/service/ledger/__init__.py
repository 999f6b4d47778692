"""Ledger, what one may do: events, Merkle tree, checkpoints, proofs, signing, verification."""
