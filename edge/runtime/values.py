"""Frozen values that are replaced many times a step: `@value(frozen=True, slots=True)` and their `replace`.

For the type checker they are dataclasses, so that every replaced field is checked; as they run they are
structs, whose `replace` takes a fraction of the time (`Passage` has forty fields; one step replaces it up to
five times). Nothing here knows what the values mean.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as value
    from dataclasses import replace
else:
    import dataclasses

    import msgspec

    def replace(old, /, **changes):
        """The old value with some fields changed; of a plain dataclass too."""
        if isinstance(old, msgspec.Struct):
            return msgspec.structs.replace(old, **changes)
        return dataclasses.replace(old, **changes)

    def value(*, frozen, slots):
        """The class as a frozen struct of the same fields, in the same order, with the same defaults."""
        if not (frozen and slots):
            raise TypeError("expected @value(frozen=True, slots=True)")

        def make(plain):
            fields = [
                (name, kind, vars(plain)[name]) if name in vars(plain) else (name, kind)
                for name, kind in plain.__annotations__.items()
            ]
            rest = {
                name: found
                for name, found in vars(plain).items()
                if name not in plain.__annotations__
                and name not in ("__dict__", "__weakref__", "__annotations__")
            }
            return msgspec.defstruct(
                plain.__name__, fields, namespace=rest, module=plain.__module__, frozen=True
            )

        return make


__all__ = ["replace", "value"]
