"""From an exporter to what stands on the providers for it: queues, and one processor before all of them."""
