"""What Jupyter loads: magics, widgets and the server extension, independent of each other."""
