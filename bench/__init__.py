"""Figures, each beside its limit or peer, measured in turns in one run: machines are noisy, ratios less."""
