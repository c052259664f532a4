"""How a schema that is made from the code is written, so that the same code gives the same file."""

from __future__ import annotations

import json
from typing import Any


def written(schema: dict[str, Any]) -> str:
    return json.dumps(_plain(schema), indent=1, ensure_ascii=False) + "\n"


def _plain(value: Any) -> Any:
    """0.0 as 0: equal bounds are one object, and which one depends on what was imported first."""
    match value:
        case dict():
            return {key: _plain(each) for key, each in value.items()}
        case list():
            return [_plain(each) for each in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value
