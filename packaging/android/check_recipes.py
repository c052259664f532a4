"""Resolves the recipes of buildozer.spec with python-for-android's own resolver; no SDK is needed. Prints
JSON.

Run by an interpreter that has python-for-android: see docs/handheld-android.md.
"""

from __future__ import annotations

import configparser
import json
import sys
from pathlib import Path

from pythonforandroid import __version__
from pythonforandroid.build import Context
from pythonforandroid.graph import get_recipe_order_and_bootstrap
from pythonforandroid.logger import logger
from pythonforandroid.recipe import Recipe

HERE = Path(__file__).resolve().parent


def main() -> None:
    logger.disabled = True
    spec = configparser.ConfigParser(interpolation=None)
    spec.read(HERE / "buildozer.spec", encoding="utf-8")
    app = spec["app"]
    context = Context()
    context.local_recipes = str(HERE / app["p4a.local_recipes"])
    context.recipe_build_order = []
    # as the toolchain does with a version pinned in the requirements
    names = [each.strip().split("==")[0] for each in app["requirements"].split(",")]
    recipes, modules, bootstrap = get_recipe_order_and_bootstrap(context, names)
    found = {}
    for name in recipes:
        recipe = Recipe.get_recipe(name, context)
        found[name] = {
            "version": str(getattr(recipe, "version", None)),
            "is_ours": Path(recipe.get_recipe_dir()).is_relative_to(HERE),
            "min_ndk_api": getattr(recipe, "min_ndk_api_support", 0),
            "hash": bool(getattr(recipe, "sha512sum", None)),
        }
    answer = {
        "python_for_android": __version__,
        "recipes": found,
        "by_pip": sorted(modules),
        "bootstrap": bootstrap.name,
    }
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
