"""Where signals go: the session file and its journal, OTLP, a tree on the console, and the registry of names."""
