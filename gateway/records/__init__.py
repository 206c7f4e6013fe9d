"""The arrest database, which the gateway only reads."""
