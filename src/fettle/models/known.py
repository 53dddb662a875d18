"""Known models: what each is good for, and whether it lies here. A choice, not a limit.

Any text or vision model of transformers, any network of timm, any Keras file and any torch module
can be named instead.
"""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from fettle.core.errors import ModelUnavailable, UnsafeModel
from fettle.models.keras_files import APPLICATION
from fettle.models.sources import DEFAULT_MODELS, cached, resolve

__all__ = ["KNOWN", "SOURCES", "Known", "in_cache", "is_here"]


@dataclass(frozen=True, slots=True)
class Known:
    """One model that is worth a try, by its own card."""

    name: str
    reads: str
    """texts or pictures."""
    parameters: float
    """Millions."""
    trained_on: str = ""
    """"" for this and what follows: nobody has said it, see its source."""
    input: str = ""
    """What it takes at most, or at its best."""
    good_for: str = ""
    licence: str = ""

    @property
    def source(self) -> str:
        """Where its own page is, with its licence."""
        if self.name.startswith(APPLICATION):
            return "https://keras.io/api/applications"
        return f"https://huggingface.co/{self.name}"

    @property
    def fetch(self) -> str:
        """The command that brings it here."""
        if self.name.startswith(APPLICATION):
            short = self.name.removeprefix(APPLICATION)
            return (f'KERAS_BACKEND=torch python -c "import keras; keras.applications.{short}'
                    '(include_top=False)"')
        return f"hf download {self.name}"


KNOWN: tuple[Known, ...] = (
    Known("sentence-transformers/all-MiniLM-L6-v2", "texts", 22.7, "a billion pairs of sentences",
          "256 tokens", "the default of texts: small and fast; English", "Apache-2.0"),
    Known("intfloat/multilingual-e5-small", "texts", 118, "a billion pairs of texts",
          "512 tokens", "about a hundred languages", "MIT"),
    Known("FacebookAI/roberta-base", "texts", 125, "160 GB of English text", "512 tokens",
          "English, where rows are many", "MIT"),
    Known("answerdotai/ModernBERT-base", "texts", 149, "two trillion tokens of English and code",
          "8192 tokens", "long English texts", "Apache-2.0"),
    Known("timm/mobilenetv3_large_100.ra_in1k", "pictures", 5.5, "ImageNet-1k", "224 pixels",
          "the default of pictures: small, fast without a GPU", "Apache-2.0"),
    Known("timm/efficientnet_b0.ra_in1k", "pictures", 5.3, "ImageNet-1k", "224 pixels",
          "small", "Apache-2.0"),
    Known("timm/resnet50.a1_in1k", "pictures", 25.6, "ImageNet-1k", "224 pixels",
          "what others compare with", "Apache-2.0"),
    Known("timm/convnext_tiny.in12k_ft_in1k", "pictures", 28.6, "ImageNet-12k", "224 pixels",
          "better, dearer", "Apache-2.0"),
    Known("timm/swin_tiny_patch4_window7_224.ms_in1k", "pictures", 28.3, "ImageNet-1k",
          "224 pixels alone", "a transformer", "MIT"),
    Known("timm/vit_small_patch14_dinov2.lvd142m", "pictures", 22.1,
          "142 million pictures without labels", "518 pixels", "few labels, with a GPU",
          "Apache-2.0"),
    Known("keras:ResNet50", "pictures", 25.6, "ImageNet-1k", "224 pixels",
          "teams that serve with Keras or TensorFlow", "MIT"),
    Known("keras:VGG16", "pictures", 14.7, "ImageNet-1k", "224 pixels",
          "teams that serve with Keras or TensorFlow; slow", "CC BY 4.0"),
    Known("keras:InceptionV3", "pictures", 21.8, "ImageNet-1k", "299 pixels",
          "teams that serve with Keras or TensorFlow", "Apache-2.0"),
)

SOURCES: Mapping[str, tuple[str, str]] = {
    "a folder or hub name of transformers' text models": ("transformers", ""),
    "a folder or hub name of timm's networks of pictures": ("timm", "fettle[timm]"),
    "a folder or hub name of transformers' vision models": ("transformers", ""),
    "a .keras file that Keras 3 wrote": ("keras", "fettle[keras]"),
    "keras:NAME, any of keras.applications, from Keras's own cache": ("keras", "fettle[keras]"),
    "package.module:factory, any torch module that takes pictures, torchvision's too":
        ("torch", ""),
}
"""What --model takes; the library that must be there, and what installs it."""


def in_cache() -> tuple[Known, ...]:
    """Further models of the hub's cache that can be tuned, by what their folders say themselves."""
    from huggingface_hub import constants

    from fettle.models.cards import noun_of

    chosen = {one.name for one in KNOWN}
    found = []
    for place in sorted(Path(constants.HF_HUB_CACHE).glob("models--*--*")):
        name = place.name.removeprefix("models--").replace("--", "/", 1)
        folder = None if name in chosen else cached(name)
        if folder is None:
            continue
        with suppress(ModelUnavailable, UnsafeModel):  # others lie there too: of sounds, to speak
            noun, parameters = noun_of(folder)
            found.append(Known(name, noun, round(parameters / 1e6, 1)))
    return tuple(found)


def is_here(name: str) -> bool:
    """Whether it can be opened now without a network, as far as its files go."""
    if name.startswith("timm/") and find_spec("timm") is None:
        return False
    if name.startswith(APPLICATION):
        return find_spec("keras") is not None and _in_keras_cache(name.removeprefix(APPLICATION))
    try:
        return _lies_here(name)
    except ModelUnavailable:
        return False


def _in_keras_cache(short: str) -> bool:
    """Whether Keras's cache holds weights of that name without a head; Keras is not asked."""
    home = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "models"
    found = (path.name.replace("_", "").lower() for path in home.glob("*notop.h5"))
    return any(name.startswith(f"{short.lower()}weights") for name in found)


def _lies_here(name: str) -> bool:
    if name in DEFAULT_MODELS.values():
        return resolve(name).is_dir()
    return cached(name) is not None
