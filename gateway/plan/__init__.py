"""Plans: from a permit and a question to one SELECT over the view that the permit gives.

`shape` reads what a question asks of a view, `statement` compiles it, `planner` keeps what was compiled
and binds values.
"""
