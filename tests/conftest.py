"""Settings of all tests: the same examples every time, and no patience measured in milliseconds."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("house", deadline=None, derandomize=True)
settings.register_profile("long", deadline=None, max_examples=2_000)
settings.load_profile(os.environ.get("KAKOU_HYPOTHESIS", "house"))
