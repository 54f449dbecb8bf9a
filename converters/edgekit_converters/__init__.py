"""Readers of the sources that people bring, and makers of the formats that devices run."""
