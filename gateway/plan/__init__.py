"""Plans: from a permit and a question to one SELECT over the view that the permit gives.

`shape` is what can be asked of a view, `reader` reads a filter into it, `statement` compiles it, `planner` keeps what
was compiled and binds values.
"""
