"""Searches among recipes, on KerasTuner's oracles."""
