"""The benchmark: what the gateway's controls cost, beside an endpoint that has none."""
