"""Figures, each beside its limit or peer, measured in the same run and in turns: machines are noisy, ratios less."""
