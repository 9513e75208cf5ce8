"""ESNet and its small variant."""
