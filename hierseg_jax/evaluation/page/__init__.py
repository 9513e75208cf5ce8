"""report.html: an evaluated run or exported file on one page."""
