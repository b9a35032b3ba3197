"""The shapes of Prefect 3.8 that aiobs reads; the real one is asked in tests/orchestrators."""
