"""How many questions are under way at a time. Pure: told what happened and when, it says how many may be."""

from __future__ import annotations

MOST = 256
"""Questions under way at a time, at most."""
_FIRST = 4
_GAIN = 1.05
"""Times the throughput before, from which more at a time were worth it."""
_STEADY = 6
"""Windows that a level is kept before the next higher one is tried again."""


class Pace:
    """Adapts the number: it begins with 4, and after each window, in which twice as many rows as are under way end,
    looks at the tokens a second. While they grow by a twentieth or more, the number grows (twofold at first, by a
    quarter once it has been too many); where they do not, it goes back to the one before and stays there for six
    windows. Rows that are refused (HTTP 429, 503) or not answered in time halve it, at most once a window. A fixed
    number stays."""

    def __init__(self, fixed: int | None = None) -> None:
        self.limit = fixed or _FIRST
        self._adapts = fixed is None
        self._factor = 2.0
        self._before = (0, 0.0)
        """The level before this one, and its tokens a second."""
        self._steady = 0
        self._ended = 0
        self._tokens = 0
        self._since: float | None = None

    def begun(self, now: float) -> None:
        """The first row is sent: the first window begins."""
        if self._since is None:
            self._since = now

    def answered(self, tokens: int, now: float) -> None:
        """A row ended well. `now` is in seconds of any clock that only goes forward."""
        self._ended += 1
        self._tokens += max(1, tokens)
        if self._adapts and self._ended >= 2 * self.limit:
            self._look(now)

    def refused(self, now: float) -> None:
        """The server had too much to do."""
        if self._ended < 0:
            self._ended += 1
        elif self._adapts:
            self._factor, self._steady = 1.25, _STEADY
            self._go_on(max(1, self.limit // 2), now)
            self._ended = -self.limit  # those under way were sent at the old pace: they halve it no further

    def _look(self, now: float) -> None:
        rate = self._tokens / max(1e-6, now - (self._since if self._since is not None else now))
        level, before = self._before
        if self._steady:
            self._steady -= 1
            self._before = (0, 0.0) if not self._steady else self._before
            self._go_on(self.limit, now)
        elif rate >= before * _GAIN:
            self._before = (self.limit, rate)
            self._go_on(min(MOST, max(self.limit + 1, int(self.limit * self._factor))), now)
        else:
            self._factor, self._steady = 1.25, _STEADY
            self._go_on(level or self.limit, now)

    def _go_on(self, limit: int, now: float) -> None:
        self.limit, self._ended, self._tokens, self._since = limit, 0, 0, now
