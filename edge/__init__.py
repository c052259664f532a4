"""The programs at the edge: lanes, handhelds, X-ray stations, and the devices they read."""
