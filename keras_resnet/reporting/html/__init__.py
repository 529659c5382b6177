"""One page of HTML about any runs: their curves, their errors, what differs between them, and where they were made."""
