"""A document's own tests: cases that a lawyer can read, judged by a real answer from a throw-away database."""
