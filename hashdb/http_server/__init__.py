"""What the service, the sidecar and a witness share: forms, bodies, problems, replies, request ids, log lines, metrics.

Nothing here imports Flask or the database.
"""
