"""Run one provider call, or one function of yours, inside one span, without changing what it does."""
