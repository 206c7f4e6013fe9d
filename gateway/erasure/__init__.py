"""What the city does to its own log: recalls of what clients received, legal holds, and the erasure of a person."""
