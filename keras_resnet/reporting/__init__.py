"""Reports of runs and networks: tables, curves, model cards and pages."""
