"""Carries out the processing contract (edgekit.contract), with the same code wherever a model runs."""
