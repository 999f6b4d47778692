"""What both servers are made of, the service and the sidecar: forms, bodies, files, problems, request ids, log lines.

Nothing here imports Flask or the database.
"""
