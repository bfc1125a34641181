"""With which code the command ends. 0 is success."""

REFUSED = 1
# The platform said no, or a test event was not received.
USAGE = 2
# Click's own code for wrong usage.
NETWORK = 3
# No answer, or none that this API gives.
INTERRUPTED = 130
# The shell's code for what Ctrl-C ended.
