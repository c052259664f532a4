"""The Android app: screens and senses. python-for-android starts this file in the activity's process."""

import sys

from edge.handheld.screens.environment import prepare


def run() -> int:
    from edge.handheld.android.provisioning import private_folder

    # Kivy reads its environment while it is imported.
    prepare(private_folder())
    from edge.handheld.phone_glass import main

    return main()


if __name__ == "__main__":
    sys.exit(run())
