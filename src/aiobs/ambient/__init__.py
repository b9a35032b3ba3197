"""What travels with a call: the session and its labels, and the processor that stamps them on spans."""
