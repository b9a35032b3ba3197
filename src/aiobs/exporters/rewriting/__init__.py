"""Signals changed on their way out: the rewriter, the steps that it takes, and names that backends want."""
