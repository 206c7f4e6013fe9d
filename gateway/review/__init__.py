"""The weekly review of the log: what stands out by stated rules, what was asked and answered of it, and who signed."""
