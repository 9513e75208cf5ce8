"""Parts of the reports that are opened in a browser: the frame, its style, small pictures."""
