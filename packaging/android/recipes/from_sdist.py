"""Sources that are only whole in a package's sdist: taken from `../sdists`, where pip put them.

p4a's recipes download from an address; which registry somebody uses is theirs to say, and pip's to know.
"""

import shutil
from pathlib import Path

from pythonforandroid.util import BuildInterruptingException

SDISTS = Path(__file__).resolve().parent.parent / "sdists"


class FromSdist:
    """Before a recipe's own class: its `url` is a name in the folder, and its checksum is checked as ever."""

    def download_file(self, url, target, cwd=None):
        source = SDISTS / Path(url).name
        if not source.is_file():
            raise BuildInterruptingException(
                f"{source} is not there: fetch the sdists as docs/handheld-android.md says, step 4"
            )
        return shutil.copyfile(source, Path(cwd or ".") / target)
