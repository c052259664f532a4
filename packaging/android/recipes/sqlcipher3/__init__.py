"""sqlcipher3 from its sdist, which holds SQLCipher's amalgamation: one module, linked to the OpenSSL that
is packaged.

Its build asks for Conan, and a Conan that can be imported fetches an OpenSSL for the machine that builds: the
requirement is taken out, and then setup.py links plain `-lcrypto`. `-Bsymbolic`: its sqlite3_* functions
are called by it and not those of the plain libsqlite3 that Python's own module brings.
"""

from os.path import dirname, join

from pythonforandroid.recipe import PyProjectRecipe, Recipe
from pythonforandroid.util import load_source

from_sdist = load_source("from_sdist", join(dirname(dirname(__file__)), "from_sdist.py"))


class Sqlcipher3Recipe(from_sdist.FromSdist, PyProjectRecipe):
    name = "sqlcipher3"
    version = "0.6.4"
    url = "sdists/sqlcipher3-{version}.tar.gz"
    sha512sum = (
        "2cf5116ed6b79122a869934be514515de14ea7df867588ca056185ecc9aa3b29"
        "b393686e7334e8ceeae3ee9d70e2dcb8cfb91b5512d322c5a1ed0d1ec8cd56a5"
    )
    depends = ["python3", "setuptools", "openssl"]
    site_packages_name = "sqlcipher3"

    def prebuild_arch(self, arch):
        super().prebuild_arch(arch)
        path = join(self.get_build_dir(arch.arch), "pyproject.toml")
        with open(path) as file:
            kept = [line for line in file if '"conan' not in line]
        with open(path, "w") as file:
            file.writelines(kept)

    def get_recipe_env(self, arch, **kwargs):
        env = super().get_recipe_env(arch, **kwargs)
        openssl = Recipe.get_recipe("openssl", self.ctx)
        env["CFLAGS"] += openssl.include_flags(arch)
        env["LDFLAGS"] += openssl.link_dirs_flags(arch) + " -Wl,-Bsymbolic"
        return env


recipe = Sqlcipher3Recipe()
