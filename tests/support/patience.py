"""How long tests wait for what must happen: far longer than it takes, since others share the machine."""

PATIENCE = 120  # seconds until something is seen
COMMAND_SECONDS = 900  # that a whole command may take
