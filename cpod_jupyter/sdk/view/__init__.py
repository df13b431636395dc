"""How objects look: pure functions from what is known to HTML, SVG and text. No I/O, no IPython."""
