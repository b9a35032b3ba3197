"""How a call is written on signals: names, encoding, metrics; the registries and message schemas as data."""
