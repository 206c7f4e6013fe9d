"""The data-sharing policy: documents that lawyers write, their meaning, and decisions by them."""
