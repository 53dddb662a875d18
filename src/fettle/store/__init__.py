"""The only writer: atomic files, hashes, locks, checkpoints, blobs, the registry's tables."""
