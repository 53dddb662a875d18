"""Nouns, contracts and errors: standard library, numpy and pyarrow."""
