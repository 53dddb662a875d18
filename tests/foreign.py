"""Small random networks of transformers, one of each kind that is opened in another way."""

from pathlib import Path
from typing import Any

import torch

SMALL = {
    "vocab_size": 97, "hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4,
    "intermediate_size": 48, "max_position_embeddings": 40,
}  # fmt: skip
ENDS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
NETWORKS: dict[str, dict[str, Any]] = {
    "bert": SMALL,
    "roberta": {**SMALL, "type_vocab_size": 1},
    "xlm-roberta": {**SMALL, "type_vocab_size": 1},
    "mpnet": SMALL,
    "electra": {**SMALL, "embedding_size": 16},
    "distilbert": {"vocab_size": 97, "dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 48},
    "deberta-v2": {
        **SMALL, "relative_attention": True, "position_buckets": 8, "norm_rel_ebd": "layer_norm",
        "pos_att_type": ["p2c", "c2p"], "conv_kernel_size": 3, "conv_act": "gelu",
    },
    "modernbert": {**SMALL, **ENDS, "cls_token_id": 1, "sep_token_id": 2},
    "albert": {**SMALL, "embedding_size": 16},
    "xlnet": {"vocab_size": 97, "d_model": 32, "n_layer": 3, "n_head": 4, "d_inner": 48},
    "t5": {"vocab_size": 97, "d_model": 32, "num_layers": 3, "num_heads": 4, "d_ff": 48, "d_kv": 8},
    "gpt2": {"vocab_size": 97, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 40},
    "llama": {**SMALL, "num_key_value_heads": 2},
    "qwen3": {**SMALL, "num_key_value_heads": 2, "head_dim": 8},
    "bart": {"vocab_size": 97, "d_model": 32, "encoder_layers": 3, "decoder_layers": 5},
}  # fmt: skip


def saved(place: Path, kind: str, *, auto: str = "AutoModel", **changes: Any) -> Path:
    """A small random network as save_pretrained writes it; the same numbers every time."""
    import transformers

    torch.manual_seed(0)
    config = transformers.CONFIG_MAPPING[kind](**{**NETWORKS.get(kind, {}), **changes})
    getattr(transformers, auto).from_config(config).eval().save_pretrained(place)
    return place
