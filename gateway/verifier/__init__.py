"""The log's offline verifier: it reads docs/log-format.md anew, and shares only canonical JSON with the writer."""
