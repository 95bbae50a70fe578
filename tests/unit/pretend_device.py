"""A device that is not there: tensors that say they are on it, compute on the CPU, and refuse to meet the CPU's.

On a machine without a GPU this finds what a GPU would refuse: an index, mask or buffer that was made on the CPU, a
read of its memory as a numpy array. Unlike torch's fake tensors these hold numbers, so that a search runs to its end
and its results can be compared with those of the CPU; unlike a GPU they do not round otherwise.
"""

from contextlib import contextmanager

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._mode_utils import no_dispatch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

# A name of a device that torch knows on every machine; its tensors hold nothing by themselves.
PRETEND = torch.device("meta")
# What brings tensors from one device to another.
_TRANSFERS = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}


class TwoDevices(RuntimeError):
    """Tensors of two devices met in one operation."""


class _Elsewhere(Tensor):
    """A tensor on the pretended device; `held` has its numbers."""

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor):
        made = Tensor._make_wrapper_subclass(
            cls, held.shape, held.stride(), held.storage_offset(), dtype=held.dtype, device=PRETEND
        )
        made.held = held
        return made

    def __repr__(self, **_) -> str:
        return f"elsewhere({self.held!r})"

    def tolist(self) -> list:
        return self.cpu().tolist()

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        raise TwoDevices(f"{func} outside of pretend_device()")


class _Pretend(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, Tensor)]
        elsewhere = [t for t in tensors if isinstance(t, _Elsewhere)]
        if func in _TRANSFERS:
            there = isinstance(args[0], _Elsewhere)
        else:
            there = bool(elsewhere)
            # As on a GPU: a single number of the CPU may take part.
            if there and any(not isinstance(t, _Elsewhere) and t.dim() for t in tensors):
                raise TwoDevices(f"{func}: tensors of the CPU and of another device")
        if kwargs.get("device") is not None:
            there = torch.device(kwargs["device"]) == PRETEND
            kwargs["device"] = torch.device("cpu")
        here = tree_map(lambda t: t.held if isinstance(t, _Elsewhere) else t, (args, kwargs))
        result = func(*here[0], **here[1])
        returned = func._schema.returns[0].alias_info if func._schema.returns else None
        if returned is not None and returned.is_write:  # changed in place
            if torch.Tag.inplace_view in func.tags:
                with no_dispatch():
                    func(*args, **kwargs)
            return args[0]
        return tree_map(lambda t: _Elsewhere(t) if there and isinstance(t, Tensor) else t, result)


class _Numbers(TorchFunctionMode):
    """Lists of numbers become a tensor of the CPU first, which is then transferred."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") == PRETEND:
            del kwargs["device"]
            return func(*args, **kwargs).to(PRETEND)
        if func is Tensor.new_tensor and isinstance(args[0], _Elsewhere):
            return torch.tensor(args[1], dtype=args[0].dtype).to(PRETEND)
        return func(*args, **kwargs)


@contextmanager
def pretend_device():
    """Where :data:`PRETEND` is a device like any other."""
    with _Numbers(), _Pretend():
        yield PRETEND
