"""Why something failed or is stuck: the cause in a line, what shows it, the advice, and the cell that mends it."""

from cpod_jupyter.sdk.diagnose.facts import Diagnosis, Facts
from cpod_jupyter.sdk.diagnose.gather import look
from cpod_jupyter.sdk.diagnose.rules import tell

__all__ = ["Diagnosis", "Facts", "look", "tell"]
