"""zbar 0.23.93, by commit, instead of python-for-android's 0.10 of 2009 (no Codabar, no Code 93).

Commit and checksum as in Electrum's recipe, which shipped for years. zbar's image scanner does pointer
arithmetic that wraps around, which newer compilers take for impossible and turn into a crash (mchehab/zbar,
pull request 299):
`-fno-strict-overflow` defines it.
"""

from pythonforandroid.recipes.libzbar import LibZBarRecipe


class PinnedLibZBarRecipe(LibZBarRecipe):
    version = "bb05ec54eec57f8397cb13fb9161372a281a1219"
    url = "https://github.com/mchehab/zbar/archive/{version}.zip"
    sha512sum = (
        "186312ef0a50404efef79a5fbed34534569fab2873a6bb6d2e3d8ea64fa461c5"
        "537ca4fb0e659670d72b021e514f8fd4651b1e85954bf987015d8eb2e6f68375"
    )
    # for 0.10 alone
    patches = []

    def get_recipe_env(self, arch=None, with_flags_in_cc=True):
        env = super().get_recipe_env(arch, with_flags_in_cc)
        env["CFLAGS"] += " -fno-strict-overflow"
        return env


recipe = PinnedLibZBarRecipe()
