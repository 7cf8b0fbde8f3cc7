"""How a command ends that the user stopped. Imports nothing: ``entry`` needs it in its first moment."""

MESSAGE = "stopped by the user; nothing is left half-written"
STATUS = 130  # as shells have it: 128 + SIGINT
