"""From a recipe to a trained network that was measured: the only room that sees a recipe and the parts together."""
