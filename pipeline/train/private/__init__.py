"""Differentially private training: sampled units, clipped gradients, noise that is kept nowhere."""
