"""Passes over an ONNX graph: one file each, each says whether it changed anything."""
