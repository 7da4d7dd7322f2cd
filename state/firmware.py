"""Whether a frame names a firmware version that is known, sixteen bytes at once: numba compares texts letter by letter."""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from fleetpulse.codecs.schema import FIRMWARE_BYTES, FRAME
from fleetpulse.state.plain import PLAIN

_OFFSET: int = dict(FRAME.fields or {})["firmware_version"][1]
_TEXT = ir.IntType(8 * FIRMWARE_BYTES)


def _plain(f: Any, texts: Any, index: int) -> bool:
    """The same where numba does not compile."""
    return bool(texts[index] == f.firmware_version)


def _typed(typingctx: Any, f: Any, texts: Any, index: Any) -> Any:
    add: Any = cgutils.pointer_add

    def load(builder: Any, pointer: Any) -> Any:
        text = builder.load(builder.bitcast(pointer, _TEXT.as_pointer()))
        text.align = 1
        return text

    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        array = context.make_array(signature.args[1])(context, builder, value=args[1])
        known = add(builder, array.data, builder.mul(args[2], ir.Constant(ir.IntType(64), FIRMWARE_BYTES)))
        named = add(builder, args[0], ir.Constant(ir.IntType(64), _OFFSET))
        return builder.icmp_unsigned("==", load(builder, known), load(builder, named))

    return types.boolean(f, texts, types.int64), generate


_compiled: Any = intrinsic(_typed)
is_firmware: Callable[[Any, Any, int], bool] = _plain if PLAIN else _compiled
"""is_firmware(frame, texts, index): whether texts[index], (F,) S16, is the frame's firmware version."""
