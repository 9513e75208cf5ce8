"""A page that runs an exported network in a browser, and what writes it."""
