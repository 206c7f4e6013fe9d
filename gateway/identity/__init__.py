"""Who is asking: clients, the agreements that they stand under, and their tokens."""
