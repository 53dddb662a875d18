"""A Keras graph as a torch module: a functional model in, modules that run one by one out.

Each operation of the graph becomes a module that holds its weights as torch's own. Operations
between two places where a single tensor carries all that is known of the picture are held together
in one module, so that a residual block is one, whatever it is called. Keras's own code computes,
without a state; it is a plan that copies of a network share.
"""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import signature
from itertools import count, takewhile
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils._pytree import tree_leaves, tree_map

from fettle.models.dropout import Dropout

__all__ = ["Call", "KerasRow", "Ref", "calls_of", "graph_in"]

FOLDED, UNFOLDED = (3, 2, 0, 1), (2, 3, 1, 0)
"""A kernel is (height, width, in, out) in Keras and (out, in, height, width) in torch."""
NAMES = {"gamma": "weight", "beta": "bias", "kernel": "weight"}
"""What torch calls the same: whoever draws weights anew goes by these names."""
OWN = ("steps", "takes", "gives", "plan", "backwards", "keras_name", "shared", "names",
       "takes_training")
"""Names that these modules have for themselves."""
SHORTEST = 3
"""Letters that the names of a block's operations must begin with together, to be its name."""


class _Shared:
    """What all copies of a network have in common, and torch is not to look into."""

    def __init__(self, it: Any) -> None:
        self.it = it

    def __deepcopy__(self, _: Any) -> "_Shared":
        return self


@dataclass(frozen=True, slots=True)
class Ref:
    """A tensor of the graph, by its number."""

    number: int


@dataclass(frozen=True, slots=True)
class Call:
    """One operation of the graph as it is called once."""

    operation: Any
    args: Any
    kwargs: Any
    takes: frozenset[int]
    gives: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Step:
    """A call, by the name of the module that answers it."""

    name: str
    args: Any
    kwargs: Any
    gives: tuple[int, ...]
    over: tuple[int, ...]
    """Tensors that nothing reads after it."""


class _Steps(nn.Module):
    """One tensor in, one out."""

    def __init__(
        self, calls: Sequence[tuple[str, nn.Module, Call]], takes: int, gives: int
    ) -> None:
        super().__init__()
        self.takes, self.gives = takes, gives
        last = {number: at for at, (_, _, call) in enumerate(calls) for number in call.takes}
        steps = []
        for at, (name, module, call) in enumerate(calls):
            if name not in self._modules:
                self.add_module(name, module)
            over = tuple(one for one in call.takes if last[one] == at and one != gives)
            kwargs = {} if isinstance(module, Dropout) else call.kwargs
            steps.append(_Step(name, call.args, kwargs, call.gives, over))
        self.steps = tuple(steps)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The last tensor of the steps."""
        values: dict[int, Any] = {self.takes: x}

        def value(one: Any) -> Any:
            return values[one.number] if isinstance(one, Ref) else one

        for step in self.steps:
            args, kwargs = tree_map(value, (step.args, step.kwargs))
            module = self._modules[step.name]
            assert module is not None
            values.update(zip(step.gives, tree_leaves(module(*args, **kwargs)), strict=True))
            for number in step.over:
                del values[number]
        return values[self.gives]


class KerasRow(_Steps):
    """Pixels (rows, channels, height, width) in, one vector a picture out.

    Its modules are the operations, or the blocks of operations, in the order in which they run.
    """

    def __init__(self, model: Any, *, plan: str, backwards: bool) -> None:
        """Args:
        model: functional; one tensor of pictures with their channels last in, vectors out.
        plan: JSON that the same network is built from again.
        backwards: whether it takes blue before green before red.
        """
        model.trainable = True  # else Keras lists what was frozen once among what never learns
        calls, takes, gives = calls_of(model)
        super().__init__(_in_blocks(calls, takes, gives), takes, gives)
        self.plan, self.backwards = plan, backwards
        self.keras_name = str(model.name)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One vector a picture, (rows, width)."""
        import keras

        x = x.permute(0, 2, 3, 1)
        if self.backwards:
            x = x.flip(-1)
        with keras.device(str(x.device).replace("cuda", "gpu")):
            return super().forward(x)

    def as_keras(self) -> Any:
        """A functional model of Keras's own with the weights of this row."""
        import keras

        plan = json.loads(self.plan)
        with keras.device("cpu"), torch.random.fork_rng(devices=[]):
            model = keras.saving.deserialize_keras_object(plan["keras"], safe_mode=True)
            made = KerasRow(model, plan=self.plan, backwards=self.backwards)
            made.load_state_dict(self.state_dict())
            for module in made.modules():
                if isinstance(module, _Norm | _Dense | _Operation):
                    for variable, value in module.weights():
                        variable.assign(value.detach().float().numpy())
        return model


class _Operation(nn.Module):
    """Any operation, by Keras's own code."""

    def __init__(self, operation: Any) -> None:
        super().__init__()
        held = list(getattr(operation, "weights", ()))
        learn = {id(one) for one in getattr(operation, "trainable_variables", ())}
        names = [NAMES.get(one.name, one.name) for one in held]
        self.names = tuple(
            _plain(name if names.count(name) == 1 else f"{name}_{at}")
            for at, name in enumerate(names)
        )
        for name, one in zip(self.names, held, strict=True):
            value = one.value.detach()
            value = value.permute(FOLDED) if value.ndim == 4 else value
            value = value.clone(memory_format=torch.contiguous_format)
            if id(one) in learn and value.is_floating_point():
                self.register_parameter(name, nn.Parameter(value))
            else:
                self.register_buffer(name, value)
        known = {id(one) for one in held}
        seeds = [one for one in getattr(operation, "variables", ()) if id(one) not in known]
        self.shared = _Shared((operation, tuple(held), tuple(seeds)))
        takes = signature(operation.call).parameters if hasattr(operation, "call") else {}
        self.takes_training = "training" in takes

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the operation gives."""
        from keras import StatelessScope

        operation, _, seeds = self.shared.it
        if self.takes_training:  # a graph holds what it was built with, which is False
            kwargs["training"] = self.training
        mapping = self.weights()
        if self.training:  # Keras's own seeds would be the same in every pass without a state
            mapping += [(one, torch.randint(0, 2**31 - 1, tuple(one.shape))) for one in seeds]
        with StatelessScope(mapping):
            return operation(*args, **kwargs)

    def weights(self) -> list[tuple[Any, torch.Tensor]]:
        """Each variable of Keras's with the value that it has here."""
        _, held, _ = self.shared.it
        values = (getattr(self, name) for name in self.names)
        return [(one, value.permute(UNFOLDED) if value.ndim == 4 else value)
                for one, value in zip(held, values, strict=True)]


class _Norm(_BatchNorm):
    """Keras's batch normalisation as torch's own, so that it is frozen and thawed as such."""

    def __init__(self, layer: Any) -> None:
        super().__init__(layer.moving_mean.shape[0], eps=layer.epsilon,
                         momentum=1 - layer.momentum, affine=False)
        self.axis = layer.axis
        self.running_mean = layer.moving_mean.value.detach().clone()
        self.running_var = layer.moving_variance.value.detach().clone()
        for name, one in (("weight", layer.gamma), ("bias", layer.beta)):
            if one is not None:
                self.register_parameter(name, nn.Parameter(one.value.detach().clone()))
        self.shared = _Shared(layer)

    def forward(self, input: torch.Tensor, **_: Any) -> torch.Tensor:
        """Normalised over the channels, wherever they stand."""
        mean, variance = self.running_mean, self.running_var
        assert mean is not None  # a norm of Keras's always has both
        assert variance is not None
        if self.training:  # autograd holds what it is given, so what is kept may not change there
            mean, variance = mean.clone(), variance.clone()
        moved = functional.batch_norm(
            input.movedim(self.axis, 1), mean, variance, self.weight, self.bias, self.training,
            self.momentum or 0.0, self.eps,
        )
        if self.training:
            self._move(mean, variance, numbers=input.numel() // input.shape[self.axis])
        return moved.movedim(1, self.axis)

    @torch.no_grad()
    def _move(self, mean: torch.Tensor, variance: torch.Tensor, *, numbers: int) -> None:
        """Keep what torch made of the statistics; a batch's variance is over n, not over n - 1."""
        assert self.running_mean is not None
        assert self.running_var is not None
        stayed = self.running_var * (1 - (self.momentum or 0.0))
        self.running_var.copy_(stayed + (variance - stayed) * (numbers - 1) / numbers)
        self.running_mean.copy_(mean)

    def weights(self) -> list[tuple[Any, torch.Tensor]]:
        """Each variable of Keras's with the value that it has here."""
        layer = self.shared.it
        pairs = [(layer.moving_mean, self.running_mean), (layer.moving_variance, self.running_var),
                 (layer.gamma, self.weight), (layer.beta, self.bias)]
        return [(one, value) for one, value in pairs if one is not None and value is not None]


class _Dense(nn.Module):
    """Keras's dense layer around torch's linear map, which adapters can stand beside."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        before, after = layer.kernel.shape
        self.linear = nn.Linear(before, after, bias=layer.bias is not None)
        with torch.no_grad():
            self.linear.weight.copy_(layer.kernel.value.T)
            if layer.bias is not None:
                self.linear.bias.copy_(layer.bias.value)
        self.shared = _Shared(layer)

    def forward(self, x: torch.Tensor, **_: Any) -> torch.Tensor:
        """Mapped, then through the layer's own activation."""
        return self.shared.it.activation(self.linear(x))

    def weights(self) -> list[tuple[Any, torch.Tensor]]:
        """Each variable of Keras's with the value that it has here."""
        layer = self.shared.it
        pairs = [(layer.kernel, self.linear.weight.T)]
        return pairs if layer.bias is None else [*pairs, (layer.bias, self.linear.bias)]


def _module_of(operation: Any) -> nn.Module:
    from keras import layers

    if type(operation) is layers.BatchNormalization and not operation.renorm:
        return _Norm(operation)
    if type(operation) is layers.Dense and len(operation.weights) == 1 + operation.use_bias:
        return _Dense(operation)
    if type(operation) is layers.Dropout and not any(operation.noise_shape or ()):
        return Dropout(operation.rate)
    return _Operation(operation)


def calls_of(model: Any) -> tuple[list[Call], int, int]:
    """Every call of the graph, models inside it laid open; the input's number, the output's."""
    from keras import KerasTensor

    calls: list[Call] = []
    numbers = count()

    def laid_open(graph: Any, given: Sequence[int]) -> list[int]:
        known = {id(one): number for one, number in zip(graph.inputs, given, strict=True)}

        def ref(one: Any) -> Any:
            return Ref(known[id(one)]) if isinstance(one, KerasTensor) else one

        for depth in sorted(graph._nodes_by_depth, reverse=True):
            for node in graph._nodes_by_depth[depth]:
                if node.operation is None or node.is_input:
                    continue
                taken = [known[id(one)] for one in node.input_tensors]
                inside = graph_in(node.operation)
                if inside is not None:
                    made = laid_open(inside, taken)
                else:
                    made = [next(numbers) for _ in node.outputs]
                    args, kwargs = node.arguments.convert(ref)
                    calls.append(Call(node.operation, tuple(args), kwargs, frozenset(taken),
                                       tuple(made)))
                known.update(zip(map(id, node.outputs), made, strict=True))
        return [known[id(one)] for one in graph.outputs]

    start = next(numbers)
    (end,) = laid_open(model, [start])
    return calls, start, end


def graph_in(operation: Any) -> Any:
    """The graph of a model that is an operation of another one; None of anything else."""
    from keras.src.models import Functional, Sequential

    if isinstance(operation, Sequential):
        return operation._functional
    return operation if isinstance(operation, Functional) else None


def _in_blocks(
    calls: Sequence[Call], takes: int, gives: int
) -> list[tuple[str, nn.Module, Call]]:
    """The calls, cut wherever one tensor carries everything; several calls make one module."""
    last = {number: at for at, call in enumerate(calls) for number in call.takes}
    last[gives] = len(calls)
    made = {takes: -1} | {number: at for at, call in enumerate(calls) for number in call.gives}
    ends: dict[int, int] = {}
    for at in range(len(calls)):
        alive = [one for one, when in made.items() if when <= at < last.get(one, -1)]
        if len(alive) == 1:
            ends[at] = alive[0]
    for first, again in _used_twice(calls):
        for at in range(first, again):
            ends.pop(at, None)
    found: list[tuple[str, nn.Module, Call]] = []
    name = _names()
    start, carrier = 0, takes
    for end in sorted(ends):
        some = calls[start : end + 1]
        if len(some) == 1:
            found.append((name(some[0].operation.name), _module_of(some[0].operation), some[0]))
        else:
            inside = _names()
            modules: dict[int, tuple[str, nn.Module]] = {}
            for call in some:
                key = id(call.operation)
                if key not in modules:
                    modules[key] = inside(call.operation.name), _module_of(call.operation)
            block = _Steps([(*modules[id(call.operation)], call) for call in some], carrier,
                           ends[end])
            whole = Call(None, (Ref(carrier),), {}, frozenset((carrier,)), (ends[end],))
            found.append((name(_called(some)), block, whole))
        start, carrier = end + 1, ends[end]
    return found


def _used_twice(calls: Sequence[Call]) -> list[tuple[int, int]]:
    """(first, last) call of each operation with weights that is called again: it is one block."""
    places: dict[int, list[int]] = {}
    for at, call in enumerate(calls):
        places.setdefault(id(call.operation), []).append(at)
    return [(ones[0], ones[-1]) for ones in places.values()
            if len(ones) > 1 and bool(getattr(calls[ones[0]].operation, "weights", None))]


def _called(calls: Sequence[Call]) -> str:
    """What the names of these operations begin with, else the name of the last."""
    names = [str(call.operation.name) for call in calls]
    same = (len(set(letters)) == 1 for letters in zip(*names, strict=False))
    common = names[0][: sum(takewhile(bool, same))].rstrip("_-./")
    return common if len(common) >= SHORTEST else names[-1]


def _plain(name: str) -> str:
    """A name that torch can give a module or a weight."""
    made = re.sub(r"\W", "_", name)
    taken = not made or made in OWN or hasattr(_Norm, made) or hasattr(nn.Module(), made)
    return f"{made}_" if taken else made


def _names() -> Callable[[str], str]:
    """Gives each name once: a second one gets a number."""
    given: dict[str, int] = {}

    def name(wanted: str) -> str:
        made = _plain(wanted)
        given[made] = given.get(made, 0) + 1
        return made if given[made] == 1 else name(f"{made}_{given[made]}")

    return name
