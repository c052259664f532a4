"""What devices and centre agree on, and how it travels. Imports nothing of ours."""
