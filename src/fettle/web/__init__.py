"""A version over HTTP: asked by many, swapped while it answers, and written down."""
