"""The session file: the journal that calls are written to as they end, and the file that a flush makes of it."""
