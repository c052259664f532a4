"""The officers' handheld: one scan, one verdict, with or without a network."""
