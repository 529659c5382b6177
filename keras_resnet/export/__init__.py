"""Export of networks for other programs: preparation, formats, and the proof that the file computes the same."""
