"""zxing-cpp's Python module from its sdist, which holds all of its sources (C++20, CMake, nanobind).

Built by scikit-build-core, which hands CMAKE_ARGS on. CMake finds the compilers by the NDK's toolchain
file; the headers are those of the Python that is packaged, the interpreter it asks is the one that builds.
"""

from os.path import dirname, join

from pythonforandroid.recipe import PyProjectRecipe, Recipe
from pythonforandroid.util import load_source

from_sdist = load_source("from_sdist", join(dirname(dirname(__file__)), "from_sdist.py"))


class ZxingCppRecipe(from_sdist.FromSdist, PyProjectRecipe):
    name = "zxing-cpp"
    version = "3.1.1"
    url = "sdists/zxing_cpp-{version}.tar.gz"
    sha512sum = (
        "32f850a9d35bdf77fc97a007621bbf508ec156e20908dce7f70fa88c2a8b4f47"
        "72e40dae054541c9fbcad9eb0a983a33ff7015d825b687ae6a3facd89e832fb2"
    )
    depends = ["python3"]
    site_packages_name = "zxingcpp"
    need_stl_shared = True

    def get_recipe_env(self, arch, **kwargs):
        env = super().get_recipe_env(arch, **kwargs)
        python = Recipe.get_recipe("python3", self.ctx)
        defines = {
            "CMAKE_TOOLCHAIN_FILE": join(self.ctx.ndk_dir, "build", "cmake", "android.toolchain.cmake"),
            "ANDROID_ABI": arch.arch,
            "ANDROID_PLATFORM": f"android-{self.ctx.ndk_api}",
            "ANDROID_STL": "c++_shared",
            "Python_INCLUDE_DIR": python.include_root(arch.arch),
            "Python_LIBRARY": join(python.link_root(arch.arch), f"libpython{python.link_version}.so"),
        }
        env["CMAKE_ARGS"] = " ".join(f"-D{name}={value}" for name, value in defines.items())
        # The toolchain file chooses them; p4a's would be taken for the host's.
        for name in ("CC", "CXX", "LD", "AR", "RANLIB", "STRIP"):
            env.pop(name, None)
        return env


recipe = ZxingCppRecipe()
