"""What can be checked of an Android app without building one: its spec, its recipes, what goes into it,
what it imports.
"""

from __future__ import annotations

import ast
import configparser
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
import warnings
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

CHECKOUT = Path(__file__).parents[2]
ROOM = CHECKOUT / "packaging" / "android"
SPEC_FILE = ROOM / "buildozer.spec"
DOCS = CHECKOUT / "docs" / "handheld-android.md"

KNOWN_KEYS = frozenset(
    [
        "title",
        "package.name",
        "package.domain",
        "source.dir",
        "source.include_exts",
        "source.include_patterns",
        "source.exclude_exts",
        "source.exclude_dirs",
        "source.exclude_patterns",
        "version",
        "version.regex",
        "version.filename",
        "requirements",
        "presplash.filename",
        "icon.filename",
        "icon.adaptive_foreground.filename",
        "icon.adaptive_background.filename",
        "orientation",
        "services",
        "fullscreen",
        "android.presplash_color",
        "android.permissions",
        "android.features",
        "android.api",
        "android.minapi",
        "android.ndk",
        "android.ndk_api",
        "android.ndk_path",
        "android.sdk_path",
        "android.ant_path",
        "android.skip_update",
        "android.accept_sdk_license",
        "android.entrypoint",
        "android.activity_class_name",
        "android.extra_manifest_xml",
        "android.extra_manifest_application_arguments",
        "android.service_class_name",
        "android.apptheme",
        "android.add_src",
        "android.add_jars",
        "android.add_aars",
        "android.add_assets",
        "android.add_resources",
        "android.gradle_dependencies",
        "android.enable_androidx",
        "android.manifest.launch_mode",
        "android.manifest.orientation",
        "android.manifest.intent_filters",
        "android.meta_data",
        "android.uses_library",
        "android.archs",
        "android.numeric_version",
        "android.allow_backup",
        "android.backup_rules",
        "android.no-byte-compile-python",
        "android.release_artifact",
        "android.debug_artifact",
        "android.wakelock",
        "android.copy_libs",
        "android.display_cutout",
        "p4a.url",
        "p4a.fork",
        "p4a.branch",
        "p4a.commit",
        "p4a.source_dir",
        "p4a.local_recipes",
        "p4a.hook",
        "p4a.bootstrap",
        "p4a.setup_py",
        "p4a.extra_args",
    ]
)
"""Of buildozer 1.6.0's `default.spec` and Android target. It passes any other key without a word."""

RECIPES = frozenset(
    [
        "python3",
        "hostpython3",
        "kivy",
        "pyjnius",
        "android",
        "numpy",
        "opencv",
        "pillow",
        "libiconv",
        "pyzbar",
        "openssl",
        "cffi",
        "cryptography",
        "msgspec",
    ]
)
"""Used as python-for-android 2026.5.9 has them."""

PURE = frozenset(["paho-mqtt", "structlog", "base45", "cbor2", "segno", "pyserial", "certifi"])
"""By pip: each has a wheel for any machine, checked on the registry; pinned as in
requirements-handheld.lock.
"""

PROVIDES = {
    "pillow": "PIL",
    "opencv": "cv2",
    "pyjnius": "jnius",
    "zxing-cpp": "zxingcpp",
    "paho-mqtt": "paho",
    "pyserial": "serial",
}
NOT_IMPORTED = {
    "python3": "the interpreter",
    "hostpython3": "the interpreter that builds",
    "pillow": "pictures for Kivy",
    "libiconv": "under zbar",
    "libzbar": "under pyzbar",
    "openssl": "under ssl, cryptography and SQLCipher",
    "cffi": "under cryptography",
    "certifi": "Kivy asks for it at start on Android",
}
OPTIONAL = {
    "argon2": "cryptography has Argon2id too",
    "psutil": "only where it is installed",
}


@pytest.fixture(scope="module")
def app() -> configparser.SectionProxy:
    spec = configparser.ConfigParser(interpolation=None, strict=True)
    spec.read(SPEC_FILE, encoding="utf-8")
    assert set(spec.sections()) == {"app", "buildozer"}
    return spec["app"]


def several(app: configparser.SectionProxy, key: str) -> list[str]:
    return [each.strip() for each in app[key].split(",") if each.strip()]


def laying_out() -> ModuleType:
    spec = importlib.util.spec_from_file_location("lay_out", ROOM / "lay_out.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["lay_out"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def reached() -> Any:
    lay_out = laying_out()
    return lay_out.reach([ROOM / name for name in lay_out.PROGRAMS])


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory, reached: Any) -> Path:
    folder = tmp_path_factory.mktemp("android") / "tree"
    laying_out().lay_out(folder, reached=reached)
    return folder


# --- the spec ---------------------------------------------------------------------------------------------


def test_the_spec_has_no_key_that_buildozer_would_ignore(app: configparser.SectionProxy) -> None:
    assert set(app) - KNOWN_KEYS == set()


def test_a_key_that_buildozer_would_ignore_is_found() -> None:
    """buildozer's own check passes this one silently."""
    spec = configparser.ConfigParser(interpolation=None)
    spec.read_string(SPEC_FILE.read_text("utf-8").replace("android.minapi", "android.min_api"))
    assert set(spec["app"]) - KNOWN_KEYS == {"android.min_api"}


def test_version_and_names_are_those_of_the_house(app: configparser.SectionProxy) -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]
    assert app["version"] == project["version"]
    assert re.fullmatch(r"[a-z][a-z0-9]*", app["package.name"])
    assert re.fullmatch(r"[a-z][a-z0-9]*(\.[a-z][a-z0-9]*)+", app["package.domain"])


def test_the_levels_of_android_fit_together(app: configparser.SectionProxy) -> None:
    api, least, ndk_api = (int(app[f"android.{key}"]) for key in ("api", "minapi", "ndk_api"))
    # 24: NumPy's recipe; 33: from 34 on a foreground service needs a type, and p4a's receivers throw
    assert (least, ndk_api) == (24, 24)
    assert api == 33
    assert several(app, "android.archs") == ["arm64-v8a", "armeabi-v7a"]
    assert app["orientation"] == "portrait"


def test_nothing_of_the_app_is_backed_up_to_somebodys_cloud(app: configparser.SectionProxy) -> None:
    assert app["android.allow_backup"] == "False"


def test_what_the_spec_points_at_is_there(app: configparser.SectionProxy, tree: Path) -> None:
    assert (ROOM / app["p4a.local_recipes"]).is_dir()
    for key in ("icon.filename", "presplash.filename"):
        assert (tree / app[key].removeprefix("%(source.dir)s/")).is_file()
    name = app["android.service_class_name"]
    java = ROOM / app["android.add_src"] / (name.replace(".", "/") + ".java")
    package, _, simple = name.rpartition(".")
    source = java.read_text("utf-8")
    assert f"package {package};" in source
    assert f"public class {simple} extends PythonService" in source


def test_the_service_is_one_that_python_for_android_can_make(
    app: configparser.SectionProxy, tree: Path
) -> None:
    (service,) = several(app, "services")
    name, script, *options = service.split(":")
    # it writes `Service{name.capitalize()}`: another spelling would be another class than the one we start
    assert name == name.capitalize() == "Sync"
    assert (tree / script).is_file()
    assert options == ["foreground", "sticky"]


def test_every_permission_is_written_whole_stands_once_and_has_its_reason(
    app: configparser.SectionProxy,
) -> None:
    permissions = several(app, "android.permissions")
    assert len(set(permissions)) == len(permissions)
    assert [each for each in permissions if not re.fullmatch(r"[a-z][\w.]+\.permission\.[A-Z_]+", each)] == []
    table = DOCS.read_text("utf-8")
    assert [each for each in permissions if f"| `{each.rpartition('.')[2]}`" not in table] == []


def test_a_row_of_the_vendor_table_that_needs_a_permission_has_it(app: configparser.SectionProxy) -> None:
    from edge.handheld.android.vendors import read_vendors

    needed = {vendor.permission for vendor in read_vendors() if vendor.permission}
    assert needed <= set(several(app, "android.permissions"))


def test_every_kind_of_file_in_the_tree_is_taken_along(app: configparser.SectionProxy, tree: Path) -> None:
    taken = set(several(app, "source.include_exts"))
    left_out = {path.suffix for path in tree.rglob("*") if path.is_file() and path.suffix[1:] not in taken}
    assert left_out <= {"", ".md"}  # the licence


# --- requirements and what is imported --------------------------------------------------------------------


def split(requirement: str) -> tuple[str, str]:
    name, _, version = requirement.partition("==")
    return name, version


def test_every_requirement_has_a_recipe_or_is_pure_python_and_pinned(app: configparser.SectionProxy) -> None:
    requirements = [split(each) for each in several(app, "requirements")]
    names = [name for name, _ in requirements]
    assert len(set(names)) == len(names)
    own = {path.parent.name for path in (ROOM / "recipes").glob("*/__init__.py")}
    assert set(names) - RECIPES - PURE - own == set()
    assert own <= set(names)
    locked = (CHECKOUT / "requirements-handheld.lock").read_text("utf-8")
    loose = [
        name
        for name, version in requirements
        if name in PURE and f"\n{name}=={version or '?'} " not in locked
    ]
    assert [name for name in loose if name != "certifi"] == []


def test_what_the_app_imports_is_what_the_spec_brings(app: configparser.SectionProxy, reached: Any) -> None:
    brought = {PROVIDES.get(name, name) for name, _ in map(split, several(app, "requirements"))}
    missing = {
        name: min(users)
        for name, users in reached.foreign.items()
        if name not in brought and name not in OPTIONAL
    }
    assert missing == {}


def test_the_spec_brings_nothing_that_nobody_imports(app: configparser.SectionProxy, reached: Any) -> None:
    names = {name for name, _ in map(split, several(app, "requirements"))}
    idle = {name for name in names - set(NOT_IMPORTED) if PROVIDES.get(name, name) not in reached.foreign}
    assert idle == set()


def test_an_import_that_the_spec_does_not_bring_is_found(tmp_path: Path) -> None:
    program = tmp_path / "main.py"
    program.write_text("def later():\n    import sync.policy.pins\n    import scipy.ndimage\n")
    found = laying_out().reach([program])
    assert {"scipy", "argon2"} <= set(found.foreign)
    assert Path("sync/policy/pins.py") in found.files
    assert Path("sync/__init__.py") in found.files


def test_the_app_takes_nothing_along_of_lanes_hub_or_desktop(reached: Any) -> None:
    strangers = [
        str(path)
        for path in sorted(reached.files)
        if path.is_relative_to("edge/gate")
        or path.is_relative_to("sync/hub")
        or path.is_relative_to("edge/handheld/desktop")
        or path.name == "cli.py"
    ]
    assert strangers == []


def test_the_tree_is_complete_by_itself(tree: Path) -> None:
    """Every module of it but Kivy's is imported from the tree alone, optimised as on the device."""
    names = [
        ".".join(path.relative_to(tree).with_suffix("").parts).removesuffix(".__init__")
        for path in sorted(tree.rglob("*.py"))
        if path.name not in ("main.py", "sync_main.py") and "screens" not in path.parts
    ]
    script = f"import sys, importlib\nsys.path.insert(0, {str(tree)!r})\n" + "\n".join(
        f"importlib.import_module({name!r})" for name in names
    )
    script += "\nassert True\nimport edge\nprint(edge.__file__)"
    done = subprocess.run(
        [sys.executable, "-OO", "-P", "-c", script],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        cwd=tree,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert done.stderr == ""
    assert done.stdout.strip() == str(tree / "edge" / "__init__.py")


def test_the_data_beside_the_modules_comes_along(tree: Path) -> None:
    for name in (
        "edge/handheld/android/scan_vendors.toml",
        "edge/handheld/screens/window.kv",
        "edge/handheld/screens/fonts/OFL.txt",
        "edge/handheld/screens/sounds/hold.wav",
        "LICENSE",
    ):
        assert (tree / name).is_file()
    assert list(tree.rglob("*.md")) == []


# --- Android's modules, and Python 3.14 -------------------------------------------------------------------


def python_files() -> Iterator[Path]:
    for top in ("edge", "sync"):
        yield from sorted((CHECKOUT / top).rglob("*.py"))


def test_no_module_imports_androids_while_it_is_imported() -> None:
    lay_out = laying_out()
    found = []
    for path in python_files():
        source = path.read_text("utf-8")
        if "jnius" not in source and "android" not in source:
            continue
        tree = ast.parse(source)
        for node in outside_functions(tree):
            names = list(lay_out.imported(ast.Module([node], []), "", False))
            found += [
                f"{path.relative_to(CHECKOUT)}: {name}"
                for name in names
                if name.split(".")[0] in ("jnius", "android")
            ]
    assert found == []


def outside_functions(tree: ast.AST) -> Iterator[ast.stmt]:
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


GONE = frozenset(
    [
        "aifc",
        "asynchat",
        "asyncore",
        "audioop",
        "cgi",
        "cgitb",
        "chunk",
        "crypt",
        "distutils",
        "imghdr",
        "imp",
        "lib2to3",
        "mailcap",
        "msilib",
        "nis",
        "nntplib",
        "ossaudiodev",
        "pipes",
        "smtpd",
        "sndhdr",
        "spwd",
        "sunau",
        "telnetlib",
        "uu",
        "xdrlib",
        "pty.slave_open",
    ]
)
"""Modules of 3.11 that 3.14 does not have (What's New in Python 3.12, 3.13)."""
GONE_NAMES = frozenset(
    {"ast.Str", "ast.Num", "ast.Bytes", "ast.NameConstant", "pkgutil.ImpImporter", "pkgutil.find_loader"}
)


def test_what_goes_into_the_app_is_python_3_14(tree: Path) -> None:
    """Byte-compiled here, and nothing of what 3.12 to 3.14 removed or warn about (PEP 594, 632, 765)."""
    found = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", SyntaxWarning)
        warnings.simplefilter("error", DeprecationWarning)
        for path in sorted(tree.rglob("*.py")):
            source = path.read_text("utf-8")
            parsed = ast.parse(source)
            found += [f"{path.relative_to(tree)}: {what}" for what in not_of_314(parsed)]
            compile(parsed, str(path), "exec", optimize=2)
    assert found == []


def not_of_314(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from (alias.name for alias in names if alias.name.split(".")[0] in GONE)
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] in GONE:
                yield module
            case ast.Attribute(value=ast.Name(id=owner), attr=name) if f"{owner}.{name}" in GONE_NAMES:
                yield f"{owner}.{name}"
            case ast.Try(finalbody=[_, *_] as final):
                for each in ast.walk(ast.Module(final, [])):
                    if isinstance(each, ast.Return):
                        yield "return in finally"


def test_what_3_14_removed_is_found() -> None:
    tree = ast.parse(
        "import imp\nfrom distutils.core import setup\ntry:\n  pass\nfinally:\n  def f():\n    return 1\n"
    )
    assert list(not_of_314(tree)) == ["imp", "distutils.core", "return in finally"]


# --- python-for-android's own resolver --------------------------------------------------------------------


@pytest.fixture(scope="module")
def resolved() -> Any:
    python = os.environ.get("KAKOU_P4A_PYTHON", sys.executable)
    asked = subprocess.run(
        [python, str(ROOM / "check_recipes.py")], capture_output=True, text=True, timeout=100, check=False
    )
    if "No module named 'pythonforandroid'" in asked.stderr:
        pytest.skip("python-for-android is not installed here: make android-recipes, or KAKOU_P4A_PYTHON")
    assert asked.returncode == 0, asked.stderr
    return json.loads(asked.stdout)


def test_the_recipes_resolve_and_ours_take_the_place_of_theirs(resolved: Any) -> None:
    ours = {name for name, recipe in resolved["recipes"].items() if recipe["is_ours"]}
    assert ours == {"libzbar", "zxing-cpp", "sqlcipher3", "zstandard"}
    assert all(resolved["recipes"][name]["hash"] for name in ours)
    assert resolved["bootstrap"] == "sdl2"
    assert resolved["recipes"]["libzbar"]["version"].startswith("bb05ec54")


def test_what_is_left_to_pip_is_pure_python(resolved: Any) -> None:
    kivys = {"chardet", "filetype", "idna", "requests", "urllib3", "six"}
    assert set(resolved["by_pip"]) - kivys == PURE


def test_the_recipes_allow_the_oldest_android_of_the_spec(
    resolved: Any, app: configparser.SectionProxy
) -> None:
    wants = max(recipe["min_ndk_api"] for recipe in resolved["recipes"].values())
    assert wants <= int(app["android.ndk_api"])


def test_the_python_that_is_packaged_is_the_one_that_was_checked(resolved: Any) -> None:
    assert resolved["recipes"]["python3"]["version"].startswith("3.14.")
    assert resolved["recipes"]["kivy"]["version"] == "2.3.1"


def test_a_pin_stretches_to_the_same_bytes_without_argon2_cffi(monkeypatch: pytest.MonkeyPatch) -> None:
    """An officer's verifier is made at the centre with one library and checked on Android with another."""
    from sync.policy.pins import Cost, stretched

    cost = Cost(memory_kib=512, passes=2)
    known = stretched("24681357", b"s" * 16, cost)
    monkeypatch.setitem(sys.modules, "argon2.low_level", None)
    assert stretched("24681357", b"s" * 16, cost) == known
