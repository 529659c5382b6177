"""Networks for other programs: what is exported, to which formats, and the proof that the file does the same."""
