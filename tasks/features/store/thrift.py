"""Thrift's compact protocol, as far as the footer of a Parquet file needs it.

pyarrow gives the codec of a column through a property that ends the whole process when the number is unknown, as one
flipped bit makes it (`ColumnChunkMetaData.compression`, pyarrow 26). So footers are looked at here before pyarrow does.
"""

from typing import Any

DEPTH = 10
LONG_LIST = 15  # the length of the list follows
VARINT_BITS = 63
TRUE, FALSE, BYTE, SHORT, INT, LONG, BINARY, LIST, STRUCT = 1, 2, 3, 4, 5, 6, 8, 9, 12


def read_struct(data: bytes) -> dict[int, Any]:
    """Return the fields, by number, of the struct that these bytes begin with; raises ValueError, IndexError.

    Whole numbers, truth values, bytes, lists and structs; nothing returned is larger than the bytes.
    """
    return _Reader(data).struct(DEPTH)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def struct(self, depth: int) -> dict[int, Any]:
        fields: dict[int, Any] = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._whole()
            kind = head & 15
            # A field's truth value is its type; an element's, in a list, is a byte of its own.
            fields[number] = kind == TRUE if kind in {TRUE, FALSE} else self._value(kind, depth)
        return fields

    def _value(self, kind: int, depth: int) -> Any:
        if not depth:
            message = "nested too deeply"
            raise ValueError(message)
        if kind in {TRUE, FALSE, BYTE}:
            return self._byte()
        if kind in {SHORT, INT, LONG}:
            return self._whole()
        if kind == BINARY:
            length = self._varint()
            self._at += length
            return self._data[self._at - length : self._at]
        if kind == LIST:
            head = self._byte()
            length = self._varint() if head >> 4 == LONG_LIST else head >> 4
            return [self._value(head & 15, depth - 1) for _ in range(length)]
        if kind == STRUCT:
            return self.struct(depth - 1)
        message = f"type {kind} has no place in a footer"
        raise ValueError(message)

    def _byte(self) -> int:
        self._at += 1
        return self._data[self._at - 1]

    def _varint(self) -> int:
        number = shift = 0
        while (byte := self._byte()) & 0x80 and shift < VARINT_BITS:
            number |= (byte & 0x7F) << shift
            shift += 7
        return number | byte << shift

    def _whole(self) -> int:
        number = self._varint()
        return number >> 1 ^ -(number & 1)
