"""What trained networks do, measured and drawn."""
