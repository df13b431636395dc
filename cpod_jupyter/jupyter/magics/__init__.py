"""`%cpod` and `%%cpod`: thin over `cpod_jupyter.sdk`. Parsing, calling and showing, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell


def load(shell: InteractiveShell) -> None:
    """Register the magics. Silent, and may be done again."""
    from cpod_jupyter.jupyter.magics.commands import CpodMagics, help_line
    from cpod_jupyter.jupyter.magics.completion import install
    from cpod_jupyter.sdk import Handle

    magics = CpodMagics(shell)
    shell.register_magics(magics)
    install(shell, magics)
    cleanup = shell.input_transformers_cleanup
    cleanup[:] = [step for step in cleanup if getattr(step, "__name__", "") != help_line.__name__] + [help_line]

    def show(handle: Handle) -> None:
        """A handle as it shows itself, unless its own cell has shown it already: then its name at most."""
        if not magics.is_shown(handle):
            raise NotImplementedError
        if not hasattr(shell, "kernel"):
            print(repr(handle))  # a terminal has written its prompt by now

    assert shell.display_formatter is not None, "every shell that runs cells has one"
    for kind in (Handle, *Handle.__subclasses__()):
        shell.display_formatter.ipython_display_formatter.for_type(kind, show)
