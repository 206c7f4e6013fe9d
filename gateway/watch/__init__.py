"""The watch over the log: alerts, and leaves for a SIEM; none of it is in the way of an answer or of sealing."""
