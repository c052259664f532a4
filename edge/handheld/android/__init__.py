"""The phone's own things behind the ports of `edge.handheld.ports`: one adapter a module, nothing decided
here.

No module of this room imports `jnius` or `android` while it is imported: `java` fetches classes when they
are first needed. So every adapter runs under pytest against a fake phone, and a desktop that imports one by
mistake learns it in words. No adapter was run on hardware; `docs/handheld-android.md` says what that leaves
open.
"""
