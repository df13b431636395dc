"""Numbers for Prometheus, in its text format 0.0.4 (Prometheus documentation, "Exposition formats")."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

Labels = tuple[tuple[str, str], ...]
Samples = Iterable[tuple[Mapping[str, str], float]]

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


@dataclass
class Counter:
    """Only ever grows. Safe from several threads."""

    name: str
    help: str
    _values: dict[Labels, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, **labels: str) -> None:
        key = tuple(sorted(labels.items()))
        with self._lock:
            self._values[key] = self._values.get(key, 0.0) + 1

    def value(self, **labels: str) -> float:
        return self._values.get(tuple(sorted(labels.items())), 0.0)

    def samples(self) -> Samples:
        with self._lock:
            return [(dict(key), value) for key, value in self._values.items()]


@dataclass(frozen=True)
class Gauge:
    """Read when it is asked for."""

    name: str
    help: str
    read: Callable[[], Samples]

    def samples(self) -> Samples:
        return self.read()


def exposition(metrics: Iterable[Counter | Gauge]) -> str:
    """All of them, as a scrape reads them."""
    lines = []
    for metric in metrics:
        kind = "counter" if isinstance(metric, Counter) else "gauge"
        lines += [f"# HELP {metric.name} {metric.help}", f"# TYPE {metric.name} {kind}"]
        for labels, value in metric.samples():
            said = ",".join(f'{name}="{_escaped(text)}"' for name, text in labels.items())
            lines.append(f"{metric.name}{{{said}}} {value:g}" if said else f"{metric.name} {value:g}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
