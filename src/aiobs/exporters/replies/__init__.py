"""What a backend answers to an exporter, and what is said of it: connections that listen, and one table of failures."""
