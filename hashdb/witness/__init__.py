"""A witness: cosigns the checkpoints of other logs, as long as they only grow (c2sp.org/tlog-witness)."""
