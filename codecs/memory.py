"""Loads, stores and bit tricks for kernels over byte buffers: unaligned, little-endian, bounds unchecked. No format knowledge here.

A kernel takes the Memory of its arrays once, with base(), and hands that on: arrays as arguments of the parts of a kernel would
cost two atomic reference counts each. A caller proves its bounds before it loads. With NUMBA_DISABLE_JIT=1 the plain twins below
run instead, and they assert the bounds, so the interpreted test run is also the memory-safety check of every kernel on this file.

Integers travel as int64: unsigned ones of up to 32 bits by value, 64-bit ones by bit pattern. So nothing mixes int64 and uint64,
which numba would turn into float64.
"""

import struct
from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic as _numba_intrinsic
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Memory = NDArray[np.uint8]
"""What base() gives: compiled, the address of the first byte; interpreted, the array itself."""

BYTES = types.Array(types.uint8, 1, "C", readonly=True)
"""numba type of a buffer that a kernel reads; writable arrays fit too."""
OUT = types.uint8[::1]
"""numba type of a buffer that a kernel writes."""

_intrinsic: Any = _numba_intrinsic  # its own types do not know that callers leave out the typing context
_INTERPRETED = bool(vars(numba.config)["DISABLE_JIT"])
_I64 = ir.IntType(64)
_LLVM = {"B": ir.IntType(8), "H": ir.IntType(16), "I": ir.IntType(32), "q": _I64, "f": ir.FloatType(), "d": ir.DoubleType()}
_NUMBA: dict[str, Any] = {"f": types.float32, "d": types.float64}


def _pointer(builder: Any, memory: Any, at: Any, llvm_type: Any) -> Any:
    return builder.inttoptr(builder.add(memory, at), llvm_type.as_pointer())


def _base() -> Any:
    if _INTERPRETED:
        return lambda array: array

    @_intrinsic  # type: ignore[untyped-decorator]
    def base(typing_context: Any, array: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
            return builder.ptrtoint(data, _I64)

        return types.int64(array), generate

    return base


def _load(code: str, *, signed: bool = False) -> Any:
    """A load of the struct code at a byte position; integers come as int64."""
    if _INTERPRETED:
        reader = struct.Struct("<" + (code.lower() if signed else code))

        def plain(array: Memory, at: int) -> Any:
            assert 0 <= at <= len(array) - reader.size, "a kernel must prove its bounds"
            value: Any = reader.unpack(array[at : at + reader.size].tobytes())[0]
            return np.float32(value) if code == "f" else value

        return plain
    llvm_type = _LLVM[code]

    @_intrinsic  # type: ignore[untyped-decorator]
    def load(typing_context: Any, memory: Any, at: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointer = _pointer(builder, arguments[0], arguments[1], llvm_type)
            value = builder.load(pointer, align=1)
            if code in _NUMBA or code == "q":
                return value
            return builder.sext(value, _I64) if signed else builder.zext(value, _I64)

        return _NUMBA.get(code, types.int64)(types.int64, types.int64), generate

    return load


def _store(code: str) -> Any:
    """A store of the low bytes of a value at a byte position."""
    if _INTERPRETED:
        writer = struct.Struct("<" + code)
        mask = (1 << 8 * writer.size) - 1

        def plain(array: Memory, at: int, value: Any) -> None:
            assert 0 <= at <= len(array) - writer.size, "a kernel must prove its bounds"
            number = value if code in _NUMBA else int(value) & mask
            if code == "q" and number >> 63:
                number -= 1 << 64
            array[at : at + writer.size] = np.frombuffer(writer.pack(number), np.uint8)

        return plain
    llvm_type = _LLVM[code]

    @_intrinsic  # type: ignore[untyped-decorator]
    def store(typing_context: Any, memory: Any, at: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointer = _pointer(builder, arguments[0], arguments[1], llvm_type)
            stored = arguments[2] if code in _NUMBA or code == "q" else builder.trunc(arguments[2], llvm_type)
            builder.store(stored, pointer, align=1)
            return context.get_dummy_value()

        return types.void(types.int64, types.int64, _NUMBA.get(code, types.int64)), generate

    return store


def _bits(name: str, plain: Callable[[int], int], width: int) -> Any:
    """LLVM's bswap or cttz of one integer of `width` bits, int64 to int64."""
    if _INTERPRETED:
        return plain
    llvm_type = ir.IntType(width)

    @_intrinsic  # type: ignore[untyped-decorator]
    def operation(typing_context: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            value = arguments[0] if width == 64 else builder.trunc(arguments[0], llvm_type)
            result = builder.bswap(value) if name == "bswap" else builder.cttz(value, ir.Constant(ir.IntType(1), 1))
            return result if width == 64 else builder.zext(result, _I64)

        return types.int64(types.int64), generate

    return operation


def _swap(value: int, width: int) -> int:
    return int.from_bytes((value & ((1 << width) - 1)).to_bytes(width // 8, "little"), "big", signed=width == 64)


def _trailing_zeros(value: int) -> int:
    assert value, "zero has no lowest bit"
    return (value & -value).bit_length() - 1


def _leading_digits() -> Any:
    """How many of the eight bytes at a position are decimal digits, up to the first that is none (bits 32 and up), and their value."""
    if _INTERPRETED:

        def plain(array: Memory, at: int) -> int:
            assert 0 <= at <= len(array) - 8, "a kernel must prove its bounds"
            text = array[at : at + 8].tobytes()
            count = next((i for i, byte in enumerate(text) if byte not in b"0123456789"), 8)
            return count << 32 | int(text[:count] or b"0")

        return plain

    def constant(value: int) -> Any:
        return ir.Constant(_I64, value)

    @_intrinsic  # type: ignore[untyped-decorator]
    def leading_digits(typing_context: Any, memory: Any, at: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            b = builder
            word = b.xor(b.load(_pointer(b, arguments[0], arguments[1], _I64), align=1), constant(0x3030303030303030))
            # a byte above 9 gets its high bit set; a carry out of it reaches later bytes only
            others = b.and_(b.or_(b.add(word, constant(0x7676767676767676)), word), constant(0x8080808080808080))
            none = b.icmp_unsigned("==", others, constant(0))
            count = b.select(none, constant(8), b.lshr(b.cttz(others, ir.Constant(ir.IntType(1), 0)), constant(3)))
            empty = b.icmp_unsigned("==", count, constant(0))
            shift = b.select(empty, constant(0), b.sub(constant(64), b.shl(count, constant(3))))
            digits = b.select(empty, constant(0), b.shl(word, shift))  # the last digit in the highest byte, zeros before the first
            pairs = b.add(b.mul(digits, constant(10)), b.lshr(digits, constant(8)))
            low = b.mul(b.and_(pairs, constant(0x000000FF000000FF)), constant(0x000F424000000064))
            high = b.mul(b.and_(b.lshr(pairs, constant(16)), constant(0x000000FF000000FF)), constant(0x0000271000000001))
            value = b.lshr(b.add(low, high), constant(32))
            return b.or_(value, b.shl(count, constant(32)))

        return types.int64(types.int64, types.int64), generate

    return leading_digits


def _copy() -> Any:
    """memcpy of a length between two buffers that do not overlap."""
    if _INTERPRETED:

        def plain(target: Memory, target_at: int, source: Memory, source_at: int, length: int) -> None:
            assert 0 <= target_at <= len(target) - length, "a kernel must prove its bounds"
            assert 0 <= source_at <= len(source) - length, "a kernel must prove its bounds"
            target[target_at : target_at + length] = source[source_at : source_at + length]

        return plain

    @_intrinsic  # type: ignore[untyped-decorator]
    def copy(typing_context: Any, target: Any, target_at: Any, source: Any, source_at: Any, length: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            byte = ir.IntType(8)
            to = _pointer(builder, arguments[0], arguments[1], byte)
            origin = _pointer(builder, arguments[2], arguments[3], byte)
            pointer = byte.as_pointer()
            memcpy = builder.module.declare_intrinsic("llvm.memcpy", [pointer, pointer, _I64])
            builder.call(memcpy, [to, origin, arguments[4], ir.Constant(ir.IntType(1), 0)])
            return context.get_dummy_value()

        return types.void(*[types.int64] * 5), generate

    return copy


def _fetch() -> Any:
    """Prefetch of a cache line for reading."""
    if _INTERPRETED:
        return lambda array, at: None

    @_intrinsic  # type: ignore[untyped-decorator]
    def fetch(typing_context: Any, memory: Any, at: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            pointer = _pointer(builder, arguments[0], arguments[1], ir.IntType(8))
            word = ir.IntType(32)
            function = ir.FunctionType(ir.VoidType(), [pointer.type, word, word, word])
            insert: Any = cgutils.get_or_insert_function
            prefetch = insert(builder.module, function, "llvm.prefetch.p0")
            builder.call(prefetch, [pointer, word(0), word(3), word(1)])  # for reading, to keep in all caches, data
            return context.get_dummy_value()

        return types.void(types.int64, types.int64), generate

    return fetch


int64: Callable[[int], int] = cast("Callable[[int], int]", np.int64)
"""A number that is a constant to LLVM but no literal to numba, which would compile every part anew for each literal it is given."""
base: Callable[[Bytes], Memory] = _base()
load_u8: Callable[[Memory, int], int] = _load("B")
load_u16: Callable[[Memory, int], int] = _load("H")
load_i16: Callable[[Memory, int], int] = _load("H", signed=True)
load_u32: Callable[[Memory, int], int] = _load("I")
load_i32: Callable[[Memory, int], int] = _load("I", signed=True)
load_i64: Callable[[Memory, int], int] = _load("q")
load_f32: Callable[[Memory, int], np.float32] = _load("f")
load_f64: Callable[[Memory, int], float] = _load("d")
store_u8: Callable[[Memory, int, int], None] = _store("B")
store_i16: Callable[[Memory, int, int], None] = _store("H")
store_i32: Callable[[Memory, int, int], None] = _store("I")
store_i64: Callable[[Memory, int, int], None] = _store("q")
store_f32: Callable[[Memory, int, np.float32], None] = _store("f")
store_f64: Callable[[Memory, int, float], None] = _store("d")
swap32: Callable[[int], int] = _bits("bswap", lambda value: _swap(value, 32), 32)
"""The low 32 bits with their bytes in the opposite order, as an unsigned value."""
swap64: Callable[[int], int] = _bits("bswap", lambda value: _swap(value, 64), 64)
"""64 bits with their bytes in the opposite order, as a bit pattern."""
trailing_zeros: Callable[[int], int] = _bits("cttz", _trailing_zeros, 64)
"""Number of the lowest bit that is set; the value must not be zero."""
leading_digits: Callable[[Memory, int], int] = _leading_digits()
copy: Callable[[Memory, int, Memory, int, int], None] = _copy()
fetch: Callable[[Memory, int], None] = _fetch()
"""Ask for the cache line at a position that will be loaded soon; it may lie beyond the end, and changes no result."""
