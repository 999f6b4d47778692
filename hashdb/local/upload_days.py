"""The uploads of a log of one UTC day: the log, the parts of it that are packed in files, and the rest in memory."""

from __future__ import annotations

import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import date
from pathlib import Path
from typing import Final

from hashdb.index.segment import DamagedSegment
from hashdb.local.upload_log import FRAMED_LOG, MOST_RECORDS, Block, decode_block, next_block
from hashdb.local.upload_parts import Part, count_to_merge, list_parts, make_part, merge_parts, open_part, write_part

log = logging.getLogger("hashdb.local")

MOST_IN_MEMORY: Final = 65_536
"""The records of a day in memory from which they become a part in a file at once."""
_MOST_VALUES_IN_MEMORY: Final = 524_288
"""The same of values, which records with frames have many of."""
_BLOCKS_AT_ONCE: Final = 256
"""The most blocks that are read from the log before they become a part."""
_BYTES_AT_ONCE: Final = 32 << 20
"""The same in bytes."""
_KEPT_BLOCKS: Final = 4
"""The blocks that `Day.block` keeps in memory: those that were used last."""


class Day:
    """The part of a log of a day that one process has read. Other processes append to the log meanwhile."""

    def __init__(self, log: Path) -> None:
        """Opens nothing yet."""
        self.folder, self.date, self._path = log.parent, date.fromisoformat(log.parent.name), log
        self._parts: list[Part] = []
        self._memory: Part | None = None
        self._blocks: OrderedDict[int, Block] = OrderedDict()
        self._opened = False

    @property
    def parts(self) -> list[Part]:
        """Everything that was read, in the order of the log."""
        return self._parts if self._memory is None else [*self._parts, self._memory]

    @property
    def has_frames(self) -> bool:
        """Whether it is the log of uploads with frames."""
        return self._path.name == FRAMED_LOG

    @property
    def end(self) -> int:
        """The offset in the log, in bytes, up to which everything was read."""
        return self.parts[-1].end if self.parts else 0

    def refresh(self, is_quiet: Callable[[], bool], *, owns: bool) -> None:
        """Read what was appended. Raises FileNotFoundError if the day was dropped, or has no log yet.

        Only the process that `owns` the files of parts writes and deletes them. `is_quiet` waits until no process
        appends, and says whether it could: what is no block then is damaged.
        """
        size = os.stat(self._path).st_size
        if not self._opened:
            self._open_parts(size, owns=owns)
        while self.end < size and (blocks := self._read(is_quiet)):
            part = make_part(blocks)
            self._memory = part if self._memory is None else merge_parts([self._memory, part])
            if len(self._memory) >= MOST_IN_MEMORY or self._memory.total_values >= _MOST_VALUES_IN_MEMORY:
                # A log that nobody packed may be longer than the memory.
                if owns:
                    self.pack()
                else:
                    self._parts, self._memory = [*self._parts, self._memory], None

    def pack(self, least: int = 1) -> bool:
        """Write what is in memory to a file if it has `least` records, or merge files; return whether it did either.

        One process does it, under the lock of the copy. What cannot be written stays in memory.
        """
        try:
            return self._pack(least)
        except (OSError, DamagedSegment) as error:
            log.warning("uploads of %s cannot be packed: %s", self.date, getattr(error, "strerror", None) or error)
            # On a full disk, this frees the room for the next attempt.
            self._delete_unneeded()
            return False

    def _pack(self, least: int) -> bool:
        if self._memory is not None and len(self._memory) >= least:
            # What a file leads to must be on the disk before it.
            with self._open() as file:
                os.fsync(file)
            self._parts.append(write_part(self._path, self._memory))
            self._memory = None
        elif count := count_to_merge(self._parts):
            self._parts[-count:] = [write_part(self._path, merge_parts(self._parts[-count:]))]
            self._delete_unneeded()
        else:
            return False
        return True

    def block(self, place: int) -> tuple[Block, int]:
        """The block of the record at a place, and its number in it. Raises LookupError if it is damaged or gone.

        The place is the offset of the block in the log, times `MOST_RECORDS`, plus the number of the record in it.
        """
        start, number = divmod(place, MOST_RECORDS)
        block = self._blocks.pop(start, None)
        if block is None:
            with suppress(FileNotFoundError), self._open() as file:
                block = decode_block(file, start)
        if block is None:
            raise LookupError
        self._blocks[start] = block
        if len(self._blocks) > _KEPT_BLOCKS:
            self._blocks.popitem(last=False)
        return block, number

    def blocks(self) -> Iterator[Block]:
        """The blocks of the log, as far as it was read."""
        start, end = 0, self.end
        with suppress(FileNotFoundError), self._open() as file:
            while start < end and (block := next_block(file, start)) is not None:
                yield block
                start = block.end

    @contextmanager
    def _open(self) -> Iterator[int]:
        # Opened for each use: there may be more days than files that a process may have open.
        file = os.open(self._path, os.O_RDONLY)
        try:
            yield file
        finally:
            os.close(file)

    def _read(self, is_quiet: Callable[[], bool]) -> list[Block]:
        """The next blocks; none while the next one is being written, or if a killed process began it."""
        blocks: list[Block] = []
        with self._open() as file:
            at = self.end
            while len(blocks) < _BLOCKS_AT_ONCE and (block := decode_block(file, at)) is not None:
                blocks.append(block)
                at = block.end
                if at - blocks[0].start > _BYTES_AT_ONCE:
                    break
            if not blocks and is_quiet() and (block := next_block(file, at)) is not None:
                blocks.append(block)
                if lost := block.start - at:
                    log.warning("uploads of %s are lost: %s bytes of the log are damaged", self.date, f"{lost}")
        return blocks

    def _delete_unneeded(self) -> None:
        _, unneeded = list_parts(self._path)
        for path in unneeded:
            with suppress(OSError):
                path.unlink()

    def _open_parts(self, size: int, *, owns: bool) -> None:
        """Map the files of parts of the log, which has `size` bytes: those before the first damaged one."""
        chain, unneeded = list_parts(self._path)
        for path in chain:
            try:
                part = open_part(path, check=True)
                if part.end > size:
                    raise DamagedSegment(f"{path.name} extends past the log")
            except DamagedSegment as error:
                log.warning("packing uploads of %s again: %s", self.date, error)
                unneeded += chain[chain.index(path) :]
                break
            self._parts.append(part)
        for path in unneeded if owns else ():
            with suppress(OSError):
                path.unlink()
        self._opened = True
