"""Figures of this machine: `./dev bench`. No test asserts a time; the figures are read by people."""
