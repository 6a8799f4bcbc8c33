"""How many words a block reads from flash as data, worked out from the registers it starts with.

Unicorn's memory hooks disturb registers on M-profile, so none is used.  Instead a block is followed
ahead of its execution: moves, additions and subtractions keep known addresses known, loads read the
memory as it is now, all else makes its result unknown.  A load from an unknown address counts as RAM.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from capstone import arm

_MULTIPLE = ("ldm", "vldm", "pop", "vpop")
_ADDING = {"add": 1, "adds": 1, "addw": 1, "sub": -1, "subs": -1, "subw": -1}
_MOVING = ("mov", "movs", "movw")
_MASK = 0xFFFFFFFF

Word = Callable[[int], int | None]  # the word at an address; None where there is no memory


def flash_reads(instructions: Any, registers: Mapping[int, int], word: Word, flash_bytes: int) -> int:
    """Words read from flash (0 .. flash_bytes) by one run of the disassembled block.

    registers  capstone's register numbers -> values at the block's start; those missing are unknown
    """
    known: dict[int, int | None] = dict(registers)
    reads = 0
    for insn in instructions:
        name = insn.mnemonic.split(".")[0]
        if name.startswith(("ldr", "vldr")):
            address = _address(insn, known)
            reads += (2 if name.startswith("ldrd") else 1) * _in_flash(address, flash_bytes)
            _write_back(insn, known)
            whole = name in ("ldr", "ldrd") and address is not None
            for n, register in enumerate(_loaded(insn)):
                known[register] = word(address + 4 * n) if whole and address is not None else None
        elif name.startswith(_MULTIPLE):
            stack = "pop" in name
            base = arm.ARM_REG_SP if stack else insn.operands[0].reg
            listed = _loaded(insn)[0 if stack else 1 :]
            reads += len(listed) * _in_flash(known.get(base), flash_bytes)
            start = known.get(base)
            known.update(dict.fromkeys(listed))
            if start is not None and (stack or insn.writeback):
                known[base] = (start + 4 * len(listed)) & _MASK
        elif name.startswith(("str", "vstr")):
            _write_back(insn, known)
        else:
            _compute(insn, name, known)
    return reads


def _in_flash(address: int | None, flash_bytes: int) -> bool:
    return address is not None and 0 <= address < flash_bytes


def _memory(insn: Any) -> Any:
    return next(o for o in insn.operands if o.type == arm.ARM_OP_MEM)


def _loaded(insn: Any) -> list[int]:
    return [o.reg for o in insn.operands if o.type == arm.ARM_OP_REG]


def _address(insn: Any, known: Mapping[int, int | None]) -> int | None:
    operand = _memory(insn)
    memory = operand.mem
    if memory.base == arm.ARM_REG_PC:
        return int((insn.address + 4 & ~3) + memory.disp)
    base = known.get(memory.base)
    if base is None:
        return None
    if memory.index:
        index = known.get(memory.index)
        # An unknown index stays within the array that its base points to.
        return int(base + ((index or 0) << operand.shift.value)) & _MASK
    return base if insn.post_index else int(base + memory.disp) & _MASK


def _write_back(insn: Any, known: dict[int, int | None]) -> None:
    memory = _memory(insn).mem
    base = known.get(memory.base)
    if insn.writeback and base is not None:
        step = insn.operands[-1].imm if insn.post_index else memory.disp
        known[memory.base] = (base + step) & _MASK


def _compute(insn: Any, name: str, known: dict[int, int | None]) -> None:
    _, writes = insn.regs_access()
    operands = insn.operands
    value: int | None = None
    if name in _MOVING and len(operands) == 2:
        value = _value(operands[1], known)
    elif name in _ADDING and operands:
        left = _value(operands[-2] if len(operands) > 2 else operands[0], known)
        right = _value(operands[-1], known)
        if left is not None:
            value = (left + _ADDING[name] * (right or 0)) & _MASK  # as for an unknown index
    known.update(dict.fromkeys(writes))
    if value is not None:
        known[operands[0].reg] = value


def _value(operand: Any, known: Mapping[int, int | None]) -> int | None:
    if operand.type == arm.ARM_OP_IMM:
        return int(operand.imm) & _MASK
    value = known.get(operand.reg)
    return None if value is None else (value << operand.shift.value) & _MASK if operand.shift.type else value
