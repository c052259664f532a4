"""The two halves of the handheld and the socket between them. No screen, no machine, no store in here.

The *core* decides and keeps: inbox, machine, performer, journal, records, link; it is the only writer of
every file of the store. The *glass* shows and senses: screens, camera, tones, scan intents; it writes
nothing. On Android the core is the foreground service's process and the glass the activity's; on a desktop
the core is a thread of the same program, behind the same socket. Why:
`docs/decisions/0015-who-writes-on-a-handheld.md`.
"""
