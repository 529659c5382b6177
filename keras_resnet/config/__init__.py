"""What somebody wants trained, as values that check themselves."""
