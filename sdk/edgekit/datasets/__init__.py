"""Data as people keep it: labelled pictures, sounds, texts and tables, read one at a time."""
