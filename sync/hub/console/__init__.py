"""The command centre's console: pages over the archive, served by a process of the hub's own.

It shows what the archive holds, and acts only through `sync.hub.centre` and its like, each act under an
officer's name. Nothing here receives facts, and no ruling waits for it: decision 0022.
"""
