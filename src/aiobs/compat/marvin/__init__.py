"""What ``marvin.beta.observability`` offers; marvin itself is not needed."""
