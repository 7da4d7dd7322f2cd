"""Asks the processor to fetch a record before it is needed: at 50,000 vehicles, waiting for memory is most of a frame's cost."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fleetpulse.state.plain import PLAIN

LINE = 64


def _plain(records: Any, index: int) -> None:
    """What stands in for it where numba does not compile: nothing, for it changes no result."""


def _typed(typingctx: Any, records: Any, index: Any) -> Any:
    add: Any = cgutils.pointer_add
    function: Any = cgutils.get_or_insert_function

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, value=args[0])
        size = context.get_abi_sizeof(context.get_data_type(signature.args[0].dtype))
        pointer = add(builder, array.data, builder.mul(args[1], ir.Constant(ir.IntType(64), size)))
        word = ir.IntType(32)
        fetch = function(builder.module, ir.FunctionType(ir.VoidType(), [pointer.type, word, word, word]), "llvm.prefetch.p0")
        for at in range(0, size, LINE):
            line = add(builder, pointer, ir.Constant(ir.IntType(64), at))
            builder.call(fetch, [line, word(1), word(3), word(1)])  # for writing, to keep in all caches, data
        return context.get_dummy_value()

    return types.void(records, types.int64), generate


_compiled: Any = intrinsic(_typed)
prefetch: Callable[[Any, int], None] = _plain if PLAIN else _compiled
"""prefetch(records, index): fetch all lines of records[index]."""
