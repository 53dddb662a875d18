"""Raw fields to tensors, by modality. To add one: write its file, add its line."""

from fettle.modalities.image import ImageEncoder
from fettle.modalities.text import TextEncoder

__all__ = ["ENCODERS"]

ENCODERS: dict[str, type[TextEncoder] | type[ImageEncoder]] = {
    "text": TextEncoder,
    "image": ImageEncoder,
}
