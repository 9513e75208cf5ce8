"""The embedded data set: articulated people, drawn on the fly with exact masks of their parts."""
