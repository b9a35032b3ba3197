"""The operations that the contract is tried on: each module has some, called ``OPERATIONS``."""
