"""Machinery: moves tensors, knows no file format and no task."""
