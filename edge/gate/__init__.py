"""An unattended lane: reads the vehicle, rules on it, raises the barrier or holds and says why."""
