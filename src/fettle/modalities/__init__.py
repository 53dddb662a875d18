"""Raw fields to tensors, by modality. To add one: write its file, add its line."""

from fettle.modalities.text import TextEncoder

ENCODERS = {"text": TextEncoder}
