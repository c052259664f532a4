"""zstandard from its sdist, which holds zstd's sources: the C module alone."""

from os.path import dirname, join

from pythonforandroid.recipe import PyProjectRecipe
from pythonforandroid.util import load_source

from_sdist = load_source("from_sdist", join(dirname(dirname(__file__)), "from_sdist.py"))


class ZstandardRecipe(from_sdist.FromSdist, PyProjectRecipe):
    name = "zstandard"
    version = "0.25.0"
    url = "sdists/zstandard-{version}.tar.gz"
    sha512sum = (
        "7e7f73328ec242fbcf3e17de15f8833cb1933139bc6243751d3e23e1d6d95fd5"
        "d5e17c9b1af64d59821847d24135a55118f59a8a807d7c319612246653f4b192"
    )
    depends = ["python3", "setuptools"]
    site_packages_name = "zstandard"


recipe = ZstandardRecipe()
