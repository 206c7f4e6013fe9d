"""The public transparency report: counted from an export of the log, told so that small figures stay untold."""
