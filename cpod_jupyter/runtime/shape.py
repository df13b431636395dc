"""The shape of a model in a directory, from its config.json and the headers of its weights; nothing is loaded."""

from __future__ import annotations

import json
import math
import struct
from collections import Counter
from pathlib import Path
from typing import Any

from cpod_jupyter.api.planning.shapes import ModelShape

_HEADER_LIMIT = 100 << 20
"""Bytes; safetensors itself refuses longer headers."""
_NOT_PARAMETERS = (".inv_freq", ".masked_bias", ".attn.bias", ".attention.bias")
"""Ends of the names of buffers that old checkpoints carry."""
_BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1}


def read_shape(directory: Path) -> dict[str, Any] | None:
    """The shape as it stands in a status, or None where the files are not those of a language model."""
    try:
        config = json.loads((directory / "config.json").read_text("utf-8"))
        if not isinstance(config, dict):
            return None
        parameters, dtype_bytes = count_weights(directory)
        if config.get("quantization_config"):
            parameters = 0  # packed weights hold several parameters an element; the shape tells their number
        shape = ModelShape.from_config(config, parameters)
    except (OSError, ValueError):
        return None
    return {**shape.to_status(), "dtypeBytes": dtype_bytes or shape.dtype_bytes}


def count_weights(directory: Path) -> tuple[int, int]:
    """Parameters in the *.safetensors of a directory, and the bytes that most of them have.

    The header is a length of 8 bytes, little-endian, and as much JSON (safetensors, "Format"). Raises OSError, and
    ValueError where a header is broken.
    """
    total: Counter[str] = Counter()
    for file in directory.glob("*.safetensors"):
        with file.open("rb") as stream:
            raw = stream.read(8)
            length = struct.unpack("<Q", raw)[0] if len(raw) == 8 else 0
            if not 0 < length <= _HEADER_LIMIT:
                raise ValueError(f"{file} has no safetensors header")
            header = json.loads(stream.read(length))
        for name, tensor in header.items():
            if name != "__metadata__" and not name.endswith(_NOT_PARAMETERS):
                total[tensor["dtype"]] += math.prod(tensor["shape"])
    most = max(total, key=lambda dtype: total[dtype], default="")
    return sum(total.values()), _BYTES.get(most, 0)
