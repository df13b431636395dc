"""A job's log of any length for a page that draws a window of it: on the disk, by lines, with a search."""
