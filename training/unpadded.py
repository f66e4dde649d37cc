"""Training without padding: the layers of an encoder see the tokens of all rows one after another, and nothing else.

Batches of random rows are padded to 1.8 to 2.2 times their useful tokens. Here everything that a layer does for each
token alone (its products, norms and dropout) is done for useful tokens, and attention for groups of rows of near
lengths, at most 1.1 times padded. transformers does the same for FlashAttention on a GPU; this works on a CPU too.

It changes three things beyond rounding. On a CPU attention has no dropout, as drawing its masks takes longer than
attention itself; other dropout rates are rounded to 1/256, as a random byte decides. Padding is left out of the softmax
over the tokens at which an answer starts, while transformers' loss counts it. What a checkpoint says of it:
`computed` in `phase.json`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, linear, scaled_dot_product_attention
from transformers import PreTrainedModel

from harness.core.heads import SpanExtraction
from training.encoders.networks import networks_of
from training.parts import cut, padded

#: A random byte decides on each dropout.
BYTE = 256
#: On a CPU, products with a softmax between them are faster than the fused kernel: always in bf16, and up to so many
#: tokens in fp32 (measured forward and backward, 12 heads of 32, Zen 5: 8 x 384 in bf16 35 against 85 ms).
SHORT = 64


@dataclass(frozen=True, slots=True)
class Group:
    """Rows that attend at once, a run of the packed tokens."""

    start: int
    tokens: int
    rows: int
    width: int
    #: Where each of rows x width tokens comes from within the run, what of it is no padding (rows, 1, 1, width),
    #: and where the tokens of the run are in it; None where all rows have one length.
    gather: Tensor | None = None
    mask: Tensor | None = None
    back: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Packing:
    """Where the useful tokens of a batch are; layers get it in place of the attention mask."""

    #: Index of each packed token into (rows x width), shortest rows first.
    places: Tensor
    groups: tuple[Group, ...]

    @staticmethod
    def of(mask: Tensor) -> "Packing":
        """Return the packing of a batch.

        Args:
            mask: true where a token is (rows, width).
        """
        device = mask.device
        found = mask.cpu().numpy()
        lengths = found.sum(axis=1)
        order = np.argsort(lengths, kind="stable")
        lengths = lengths[order]
        rows, columns = found[order].nonzero()
        places = order[rows] * found.shape[1] + columns
        cuts = cut(lengths)
        start, groups = 0, []
        for first, last in cuts:
            groups.append(_group(start, lengths[first:last], device))
            start += groups[-1].tokens
        return Packing(torch.from_numpy(places).to(device), tuple(groups))

    @staticmethod
    def padded_of(mask: Tensor) -> int:
        """Return the tokens that attention computes for a batch, padding included.

        Args:
            mask: 1 where a token is (rows, width), or (rows, choices, width).
        """
        lengths = np.sort(mask.flatten(0, -2).sum(-1).cpu().numpy())
        return padded(lengths, cut(lengths))

    def pack(self, states: Tensor) -> Tensor:
        """Return the useful tokens (1, tokens, hidden) of states (rows, width, hidden)."""
        return states.flatten(0, 1).index_select(0, self.places)[None]

    def unpack(self, states: Tensor, rows: int, width: int) -> Tensor:
        """Return states (rows, width, hidden) of packed ones (1, tokens, hidden); padding is 0."""
        empty = states.new_zeros(rows * width, states.shape[2])
        return empty.index_copy(0, self.places, states[0]).view(rows, width, -1)


def _group(start: int, lengths: "np.ndarray[Any, np.dtype[np.int64]]", device: torch.device) -> Group:
    rows, width, tokens = len(lengths), int(lengths.max()), int(lengths.sum())
    if int(lengths.min()) == width:
        return Group(start, tokens, rows, width)
    inside = np.arange(width) < lengths[:, None]
    first = (lengths.cumsum() - lengths)[:, None]
    # Padding copies the row's first token, and the mask leaves it out.
    gather = np.where(inside, first + np.arange(width), first)
    return Group(
        start,
        tokens,
        rows,
        width,
        torch.from_numpy(gather.ravel()).to(device),
        torch.from_numpy(inside[:, None, None, :]).to(device),
        torch.from_numpy(inside.ravel().nonzero()[0]).to(device),
    )


@dataclass(slots=True)
class Unpadded:
    """Which modules compute without padding."""

    #: Whether there is a stack that can.
    active: bool = False
    _replaced: list[nn.Module] = field(default_factory=list)

    def replace(self, module: nn.Module, forward: Callable[..., Any]) -> None:
        """Let a module compute otherwise until it is restored."""
        module.forward = forward
        self._replaced.append(module)

    def restore(self) -> None:
        """Let every module compute as its class does."""
        for module in self._replaced:
            module.__dict__.pop("forward", None)


@contextmanager
def unpadded(model: nn.Module) -> Iterator[Unpadded]:
    """Let a model train without padding as far as its classes allow; others keep theirs.

    Args:
        model: a network or a module around some; it is as before afterwards.
    """
    state = Unpadded()
    families = [networks_of(each.config.model_type) for each in model.modules() if isinstance(each, PreTrainedModel)]
    stacks = tuple({family.stack for family in families if family.stack is not None})
    try:
        for module in list(model.modules()):
            if isinstance(module, stacks):
                state.active = True
                state.replace(module, partial(_stack, module.forward))
                layers: Any = module.layer
                for layer in layers:
                    state.replace(layer.attention.self, partial(_attention, layer.attention.self))
            elif isinstance(module, nn.Dropout) and round(module.p * BYTE) > 0:
                state.replace(module, partial(_dropout, module))
            elif isinstance(module, PreTrainedModel) and isinstance(module, _span_class(module)):
                state.replace(module, partial(_spans, module.forward))
        yield state
    finally:
        state.restore()


def _span_class(module: PreTrainedModel) -> type | tuple[()]:
    """Return the class of a network's family that ends in the start and end of an answer; () where it has none."""
    return networks_of(module.config.model_type).heads.get(SpanExtraction, ())


def _stack(
    forward: Callable[..., Any],
    hidden_states: Tensor,
    attention_mask: Tensor | None = None,
    *args: Any,
    **rest: Any,
) -> Any:
    """Compute the layers of an encoder on the useful tokens; states are padded with zeros again afterwards."""
    rows, width, _ = hidden_states.shape
    if attention_mask is None:
        mask = torch.ones(rows, width, dtype=torch.bool, device=hidden_states.device)
    else:
        # transformers adds 0 to the scores of tokens, and the least number to those of padding.
        mask = attention_mask[:, 0, 0, :] == 0
    packing = Packing.of(mask)
    found = forward(packing.pack(hidden_states), packing, *args, **rest)
    found.last_hidden_state = packing.unpack(found.last_hidden_state, rows, width)
    if found.hidden_states is not None:
        found.hidden_states = tuple(packing.unpack(each, rows, width) for each in found.hidden_states)
    return found


def _attention(module: Any, hidden_states: Tensor, attention_mask: Packing, *_: Any, **__: Any) -> tuple[Tensor]:
    """Return what each packed token reads, (1, tokens, hidden): every row attends to itself."""
    heads, size = module.num_attention_heads, module.attention_head_size
    parts = (module.query, module.key, module.value)
    # One product instead of three; the states are rounded to bf16 once.
    weight, bias = (torch.cat([getattr(part, name) for part in parts]) for name in ("weight", "bias"))
    packed = linear(hidden_states[0], weight, bias)
    dropout = module.dropout.p if module.training and packed.is_cuda else 0.0
    found = []
    for group in attention_mask.groups:
        run = packed[group.start : group.start + group.tokens]
        if group.gather is not None:
            run = run.index_select(0, group.gather)
        # (3, rows, heads, width, size)
        query, key, value = run.view(group.rows, group.width, 3, heads, size).permute(2, 0, 3, 1, 4)
        read = _read(query, key, value, group.mask, dropout).transpose(1, 2).reshape(-1, heads * size)
        found.append(read if group.back is None else read.index_select(0, group.back))
    return (torch.cat(found)[None],)


def _read(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float) -> Tensor:
    """Return attention (rows, heads, tokens, size); mask (rows, 1, 1, tokens) is true where a token is."""
    rows, heads, tokens, size = query.shape
    if query.is_cuda or (query.dtype == torch.float32 and tokens > SHORT):
        return scaled_dot_product_attention(query, key, value, attn_mask=mask, dropout_p=dropout)
    query, key, value = (each.reshape(rows * heads, tokens, size) for each in (query, key, value))
    scores = torch.bmm(query * size**-0.5, key.transpose(1, 2)).view(rows, heads, tokens, tokens)
    if mask is not None:
        scores = scores.masked_fill(~mask, float("-inf"))
    weights = scores.softmax(-1).view(rows * heads, tokens, tokens)
    return torch.bmm(weights, value).view(rows, heads, tokens, size)


def _dropout(module: nn.Dropout, states: Tensor) -> Tensor:
    """Return states of which each is 0 with the module's rate, and the others are larger for it.

    torch draws a number for each in 4.5 ns on a CPU, half of what a norm and its products take; eight bytes are drawn
    at once here.
    """
    if not module.training or states.is_cuda:
        return nn.functional.dropout(states, module.p, module.training)
    dropped = round(module.p * BYTE)
    count = prod(states.shape)
    drawn = torch.empty(-(-count // 8), dtype=torch.int64).random_(-(2**63), None).view(torch.uint8)[:count]
    kept = (drawn >= dropped).to(states.dtype).mul_(BYTE / (BYTE - dropped))
    return states * kept.view(states.shape)


def rate(dropout: float) -> float:
    """Return the rate at which a CPU drops states where the recipe or the encoder says `dropout`."""
    return round(dropout * BYTE) / BYTE or dropout


def _spans(
    forward: Callable[..., Any],
    *args: Any,
    start_positions: Tensor | None = None,
    end_positions: Tensor | None = None,
    **inputs: Any,
) -> Any:
    """Return the answers of a network that ends in start and end, with a loss that leaves padding out."""
    found = forward(*args, **inputs)
    if start_positions is not None and end_positions is not None:
        found["loss"] = span_loss(
            found["start_logits"], found["end_logits"], inputs["attention_mask"], start_positions, end_positions
        )
    return found


def span_loss(start: Tensor, end: Tensor, mask: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
    """Return the mean cross-entropy of where answers start and end.

    Args:
        start: logits of each token (rows, tokens).
        end: the same of the end.
        mask: 1 where a token is, 0 where padding is (rows, tokens).
        starts: the token at which each answer starts (rows,).
        ends: the token at which it ends (rows,).
    """
    padding = mask == 0
    losses = [
        cross_entropy(logits.float().masked_fill(padding, float("-inf")), right)
        for logits, right in ((start, starts), (end, ends))
    ]
    return (losses[0] + losses[1]) / 2
