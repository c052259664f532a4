"""The Android service `Sync`: the core. python-for-android starts this file in a process of its own."""

import sys

from edge.handheld.phone_core import main

if __name__ == "__main__":
    sys.exit(main())
