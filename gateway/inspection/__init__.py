"""What privacy auditors do with the log: search it, show and open entries, explain them, account for disclosures."""
