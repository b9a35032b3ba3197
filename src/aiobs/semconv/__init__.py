"""How a call is written on signals: names, encoding, metrics, events; the GenAI registry and message schemas as data."""
