"""Training: the state, the steps, how they are compiled, and the loop around them."""
