"""The rooms of the X-ray station's machine, each named by what it decides. Values only."""
