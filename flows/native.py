"""Numba's way to C memory: loads and copies by address, and calls through a function pointer. Intrinsics only.

Addresses are arguments, so that kernels that use these can be cached on disk.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic as _numba_intrinsic

intrinsic: Any = _numba_intrinsic  # its own types do not know that callers leave out the typing context
_I8, _I32, _I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)


def _load(builder: Any, address: Any, llvm_type: Any) -> Any:
    return builder.load(builder.inttoptr(address, llvm_type.as_pointer()), align=1)


@intrinsic  # type: ignore[untyped-decorator]
def load_int32(typing_context: Any, address: Any) -> Any:
    """The int32 at an address, widened to int64."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.sext(_load(builder, arguments[0], _I32), _I64)

    return types.int64(types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def load_int64(typing_context: Any, address: Any) -> Any:
    """The int64 at an address."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _load(builder, arguments[0], _I64)

    return types.int64(types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def copy_bytes(typing_context: Any, target: Any, source: Any, length: Any) -> Any:
    """memcpy of `length` bytes between two addresses."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _I8.as_pointer()
        memcpy = builder.module.declare_intrinsic("llvm.memcpy", [pointer, pointer, _I64])
        target, source = (builder.inttoptr(a, pointer) for a in arguments[:2])
        builder.call(memcpy, [target, source, arguments[2], ir.Constant(ir.IntType(1), 0)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def call_int64(typing_context: Any, function: Any, first: Any, second: Any) -> Any:
    """int64 f(void *first, void *second) through the address of f."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _I8.as_pointer()
        f = builder.inttoptr(arguments[0], ir.FunctionType(_I64, [pointer, pointer]).as_pointer())
        return builder.call(f, [builder.inttoptr(a, pointer) for a in arguments[1:]])

    return types.int64(types.int64, types.int64, types.int64), generate


@intrinsic  # type: ignore[untyped-decorator]
def call_void(typing_context: Any, function: Any, first: Any) -> Any:
    """void f(void *first) through the address of f."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _I8.as_pointer()
        f = builder.inttoptr(arguments[0], ir.FunctionType(ir.VoidType(), [pointer]).as_pointer())
        builder.call(f, [builder.inttoptr(arguments[1], pointer)])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate
