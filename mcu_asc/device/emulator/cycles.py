"""Estimated Cortex-M4 cycles: what each basic block costs, and how often each one ran.

The rules are those of the Cortex-M4 technical reference manual (sections 3.3.1 and 3.3.3, FPU table):

* ALU, shifts, SIMD/DSP and all multiplies 1; SDIV/UDIV 2 to 12, counted as 7; IT 0
* LDR 2, or 1 right after another load unless its address needs the value just loaded
* STR with an immediate offset 1; with a register offset 2, or 1 right after a load
* +1 when an address register was written by the ALU instruction just before
* LDM, STM, PUSH, POP 1 + registers; LDRD, STRD 3
* a taken branch 1 + 2, not taken 1; LDR to pc 2 + 3; TBB, TBH 3 + 3; POP to pc 1 + registers + 2
* VADD, VMUL, VCVT, VMOV 1 (VMOV with two core registers 2); VMLA, VFMA and kin 3; VDIV, VSQRT 14;
  VLDR, VSTR 2 (double 3); VLDM, VSTM 1 + words; +1 when an FP result is used by the next instruction

Not modelled: pairing across block borders, predicated-off instructions (priced as executed), waits for
instruction fetch.  Real silicon takes more; every figure made from this is an estimate.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import capstone as cs
import numpy as np
from capstone import arm
from numpy.typing import NDArray

REFILL = 2  # pipeline refill of a taken branch
DIVIDE = 7  # 2 .. 12 by operands

_STACK = ("push", "pop", "vpush", "vpop")
_MULTIPLE = ("ldm", "stm", "vldm", "vstm")
_FP_LONG = {
    **dict.fromkeys(("vmla", "vmls", "vnmla", "vnmls", "vfma", "vfms", "vfnma", "vfnms"), 3),
    **dict.fromkeys(("vdiv", "vsqrt"), 14),
}
_FP_ARITHMETIC = {*_FP_LONG, "vadd", "vsub", "vmul", "vnmul", "vcvt", "vcvtr", "vneg", "vabs"}
_CONDITIONS = ("eq", "ne", "hs", "lo", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt", "gt", "le", "cs", "cc")
_NONE: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Price:
    """One basic block: its cycles, and what leaving it by its conditional branch adds."""

    instructions: int
    cycles: int
    taken: int


@dataclass(frozen=True)
class _Before:
    """What the instruction just before leaves for the next one's price."""

    load: bool = False
    loaded: frozenset[int] = _NONE
    alu: frozenset[int] = _NONE
    fp: frozenset[int] = _NONE


def disassembler() -> Any:
    """Capstone for the Cortex-M4, with operands."""
    engine = cs.Cs(cs.CS_ARCH_ARM, cs.CS_MODE_THUMB | cs.CS_MODE_MCLASS)
    engine.detail = True
    return engine


def price(code: bytes, address: int, engine: Any = None) -> Price:
    """The price of the Thumb-2 instructions in `code`, which lie at `address` and form one block."""
    before, count, cycles, taken = _Before(), 0, 0, 0
    for insn in (engine or disassembler()).disasm(code, address):
        cost, taken, before = _instruction(insn, before)
        count, cycles = count + 1, cycles + cost
    return Price(count, cycles, taken)


def _conditional(insn: Any) -> bool:
    return insn.cc not in (arm.ARM_CC_AL, arm.ARM_CC_INVALID)


def _mnemonic(insn: Any) -> str:
    name = str(insn.mnemonic).split(".")[0]
    return name[:-2] if _conditional(insn) and name.endswith(_CONDITIONS) else name


def _words(insn: Any, name: str) -> int:
    """Words moved by PUSH, POP, LDM, STM and their FP kin."""
    registers = [o.reg for o in insn.operands if o.type == arm.ARM_OP_REG]
    if name not in _STACK:
        registers = registers[1:]  # the base
    return sum(2 if arm.ARM_REG_D0 <= r <= arm.ARM_REG_D31 else 1 for r in registers)


@dataclass(frozen=True)
class _Insn:
    """What the rules look at."""

    raw: Any
    name: str  # without condition and type suffix
    reads: frozenset[int]
    writes: frozenset[int]
    address: frozenset[int]  # registers that form the address
    indexed: bool  # address = register + register

    @property
    def first(self) -> int:
        return int(self.raw.operands[0].reg)

    @property
    def to_pc(self) -> bool:
        return arm.ARM_REG_PC in self.writes


def _decode(insn: Any) -> _Insn:
    name = _mnemonic(insn)
    reads, writes = (frozenset(r) for r in insn.regs_access())
    memory = next((o.mem for o in insn.operands if o.type == arm.ARM_OP_MEM), None)
    address = _NONE
    if memory is not None:
        address = frozenset((memory.base, memory.index)) - {0, arm.ARM_REG_PC}
    elif name.startswith(_MULTIPLE):
        address = frozenset((insn.operands[0].reg,))
    return _Insn(insn, name, reads, writes, address, memory is not None and memory.index != 0)


# Each rule gives (cycles, cycles of a pipeline refill, what the next instruction sees).
_Cost = tuple[int, int, _Before]


def _fixed(cycles: int, refill: int = 0) -> Callable[[_Insn, _Before], _Cost]:
    return lambda insn, before: (cycles, refill, _Before())


def _alu(insn: _Insn, _before: _Before) -> _Cost:
    return 1, REFILL * insn.to_pc, _Before(alu=insn.writes)


def _divide(insn: _Insn, _before: _Before) -> _Cost:
    return DIVIDE, 0, _Before(alu=insn.writes)


def _multiple(insn: _Insn, _before: _Before) -> _Cost:
    return 1 + _words(insn.raw, insn.name), REFILL * insn.to_pc, _Before()


def _paired(insn: _Insn, before: _Before) -> bool:
    """Right after a load whose value its address does not need."""
    return before.load and not before.loaded & insn.address


def _load(insn: _Insn, before: _Before) -> _Cost:
    if insn.to_pc:
        return 2, 3, _Before()
    return 1 if _paired(insn, before) else 2, 0, _Before(load=True, loaded=frozenset((insn.first,)))


def _store(insn: _Insn, before: _Before) -> _Cost:
    return 2 if insn.indexed and not _paired(insn, before) else 1, 0, _Before()


def _fp_move_memory(insn: _Insn, _before: _Before) -> _Cost:
    return 3 if arm.ARM_REG_D0 <= insn.first <= arm.ARM_REG_D31 else 2, 0, _Before()


def _fp(insn: _Insn, _before: _Before) -> _Cost:
    two = insn.name == "vmov" and len(insn.raw.operands) > 2
    result = insn.writes if insn.name in _FP_ARITHMETIC else _NONE
    return 2 if two else _FP_LONG.get(insn.name, 1), 0, _Before(fp=result)


_RULES = {
    **dict.fromkeys(("b", "bl", "bx", "blx", "cbz", "cbnz"), _fixed(1, REFILL)),
    **dict.fromkeys(("tbb", "tbh"), _fixed(3, 3)),
    **dict.fromkeys(("ldrd", "strd"), _fixed(3)),
    **dict.fromkeys(("sdiv", "udiv"), _divide),
    **dict.fromkeys(("vldr", "vstr"), _fp_move_memory),
    **dict.fromkeys(_STACK, _multiple),
}
_PREFIXES = (
    *((prefix, _multiple) for prefix in _MULTIPLE),
    ("ldr", _load),
    ("str", _store),
    ("it", _fixed(0)),  # no other mnemonic of the Cortex-M4 begins so
    ("v", _fp),
    ("", _alu),
)


def _instruction(raw: Any, before: _Before) -> _Cost:
    """(cycles, cycles more when the conditional branch is taken, what the next one sees)."""
    insn = _decode(raw)
    rule = _RULES.get(insn.name) or next(r for prefix, r in _PREFIXES if insn.name.startswith(prefix))
    cost, refill, after = rule(insn, before)
    if refill and not (_conditional(raw) or insn.name in ("cbz", "cbnz")):
        cost, refill = cost + refill, 0  # always taken
    stall = bool(before.alu & insn.address) + bool(before.fp & insn.reads)
    return cost + stall, refill, after


def _slot(addresses: NDArray[np.int64]) -> NDArray[np.int64]:
    """Spreads block addresses over a table of 2^20: without clashes for 1 MiB each of flash and RAM."""
    return (addresses >> 1 ^ addresses >> 10) & 0xFFFFF


class Counter:
    """Counts blocks as they run; prices each distinct one once; sums on demand.

    `translated(address, size)` is called before a block runs for the first time, `hook(uc, address)` each
    time it runs: that stores the address and nothing else.  The trace is folded into the sums when it is
    full or when somebody asks.
    """

    TRACE = 1 << 12
    WINDOW = 16  # samples of a block's waits that the mean remembers: the same code may turn to other memory

    def __init__(
        self,
        read: Callable[[int, int], bytes],
        waits: Callable[[Any, bool], int] | None = None,
    ) -> None:
        """What the counter asks of the machine.

        read   (address, size) -> the code of a block that has run
        waits  (disassembled block, whether it is about to run) -> cycles that its data reads wait for
               flash, by the registers as they are now or without knowing them.  It is asked once for
               each distinct block, then for one run in some 3,000; the mean of the last answers counts.
        """
        self.folded: Callable[[], None] = lambda: None  # called every few thousand blocks
        self._read = read
        self._waits_of = waits
        self._engine = disassembler()
        # One row per distinct block, here and below; row 0 stands for what came before the first.
        self._prices = [Price(0, 0, 0)]
        self._address, self._end = np.array([-1], np.int64), np.zeros(1, np.int64)
        self._cycles, self._taken, self._runs, self._jumps = np.zeros((4, 1), np.int64)
        # A run's mean wait, and of how many samples, WINDOW at most.
        self._waits, self._samples = np.zeros((2, 1))
        self._waited = 0.0
        self._random = random.Random(0)  # where a trace starts: else a loop could keep step with it
        self._lookup = np.zeros(1 << 20, np.int32)  # _slot(address) -> row
        self._last = self._last_end = 0  # row of the block that runs now; where it ends
        self._total = 0
        self._blocks = np.zeros(self.TRACE, np.uint32)
        self._size_of: dict[int, int] = {}
        self.hook, self._flush = self._make_hook()

    def translated(self, address: int, size: int) -> None:
        """A block of `size` bytes at `address` may run from now on."""
        self._size_of[address] = size

    def _make_hook(self) -> tuple[Callable[[int, int], None], Callable[[], None]]:
        blocks = self._blocks.data  # a memoryview: faster to store to than an array
        start = used = 0

        def hook(_uc: int, address: int) -> None:
            nonlocal start, used
            try:
                blocks[used] = address
            except IndexError:  # full
                self._fold(start, used)
                start = used = self._random.randrange(self.TRACE // 2)
                blocks[used] = address
                if self._waits_of:
                    self._sample(address)
                self.folded()
            used += 1

        def flush() -> None:
            nonlocal start
            self._fold(start, used)
            start = used

        return hook, flush

    def _sample(self, address: int) -> None:
        """Asks for the waits of the block that is about to run, and takes them into its mean."""
        assert self._waits_of
        row = int(self._rows(np.array([address], np.int64))[0])
        code = self._read(address, self._size_of[address])
        waits = self._waits_of(self._engine.disasm(code, address), True)
        self._samples[row] = min(self._samples[row] + 1, self.WINDOW)
        self._waits[row] += (waits - self._waits[row]) / self._samples[row]

    def _fold(self, start: int, end: int) -> None:
        """Adds the trace from `start` to `end` to the sums."""
        if start == end:
            return
        blocks = self._blocks[start:end].astype(np.int64)
        rows = self._rows(blocks)
        ends = self._end[rows]
        jumped = blocks != np.concatenate(([self._last_end], ends[:-1]))
        left = np.concatenate(([self._last], rows[:-1]))[jumped]
        self._total += int(self._cycles[rows].sum() + self._taken[left].sum())
        if self._waits_of:
            self._waited += float(self._waits[rows].sum())
        self._runs += np.bincount(rows, minlength=len(self._runs))
        self._jumps += np.bincount(left, minlength=len(self._jumps))
        self._last, self._last_end = int(rows[-1]), int(ends[-1])

    def _rows(self, blocks: NDArray[np.int64]) -> NDArray[np.int64]:
        """Table rows of block addresses; prices those that are new."""
        rows = self._lookup[_slot(blocks)].astype(np.int64)
        missed = np.flatnonzero(self._address[rows] != blocks)
        if len(missed):
            addresses = np.unique(blocks[missed])
            self._add(addresses[~np.isin(addresses, self._address)])
            order = np.argsort(self._address)
            rows[missed] = order[np.searchsorted(self._address, blocks[missed], sorter=order)]
        return rows

    def _add(self, addresses: NDArray[np.int64]) -> None:
        sizes = [self._size_of[address] for address in addresses.tolist()]
        waits = []
        for address, size in zip(addresses.tolist(), sizes, strict=True):
            code = self._read(address, size)
            self._prices.append(price(code, address, self._engine))
            waits.append(self._waits_of(self._engine.disasm(code, address), False) if self._waits_of else 0)
        self._end = np.concatenate((self._end, addresses + np.array(sizes, np.int64)))
        self._address = np.concatenate((self._address, addresses))
        self._lookup[_slot(addresses)] = np.arange(len(self._address) - len(addresses), len(self._address))
        self._cycles = np.array([p.cycles for p in self._prices], np.int64)
        self._taken = np.array([p.taken for p in self._prices], np.int64)
        more = np.zeros(len(addresses), np.int64)
        self._runs = np.concatenate((self._runs, more))
        self._jumps = np.concatenate((self._jumps, more))
        self._waits = np.concatenate((self._waits, waits))
        self._samples = np.concatenate((self._samples, more))

    def cycles(self) -> int:
        """Cycles of all blocks so far, the one that runs now included."""
        self._flush()
        return self._total + int(self._waited)

    def instructions(self) -> int:
        self.cycles()
        return int(sum(p.instructions * int(n) for p, n in zip(self._prices, self._runs, strict=True)))

    def blocks(self) -> int:
        """Blocks executed so far."""
        self.cycles()
        return int(self._runs.sum())

    def profile(self, functions: Sequence[tuple[int, str]]) -> dict[str, int]:
        """Cycles by function, most first; `functions` = (address, name), sorted."""
        self.cycles()
        starts = [a for a, _ in functions]
        out: dict[str, int] = {}
        spent = (
            self._runs * self._cycles
            + self._jumps * self._taken
            + (self._runs * self._waits).astype(np.int64)
        )
        for address, cycles in zip(self._address.tolist()[1:], spent.tolist()[1:], strict=True):
            at = bisect_right(starts, address) - 1
            name = functions[at][1] if at >= 0 else f"0x{address:08x}"
            out[name] = out.get(name, 0) + cycles
        return dict(sorted(out.items(), key=lambda item: -item[1]))
