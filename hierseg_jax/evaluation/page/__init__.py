"""report.html: an evaluated run on one page."""
