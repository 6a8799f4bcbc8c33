"""The cycle model, against prices written by hand from its rules; and the counter in a running firmware."""

from __future__ import annotations

import subprocess

import numpy as np
import pytest
from capstone import arm

from mcu_asc import toolchain
from mcu_asc.device.emulator.cycles import Counter, Price, disassembler, price
from mcu_asc.device.emulator.waits import flash_reads

# Assembly of one block; its cycles when it falls through; what a taken conditional branch adds.
SNIPPETS = {
    "alu": ("add r0, r1, r2; lsls r3, r4, #2; movw r0, #1234", 3, 0),
    "dsp": ("smlad r0, r1, r2, r0; sxtb16 r3, r4; ssat r5, #8, r5; smmulr r6, r7, r8", 4, 0),
    "long multiplies": (
        "smull r0, r1, r2, r3; smlal r0, r1, r4, r5; mul r6, r7, r6; mla r0, r1, r2, r3",
        4,
        0,
    ),
    "divide": ("sdiv r0, r1, r2; udiv r3, r4, r5", 14, 0),
    "one load": ("ldr r0, [r1]", 2, 0),
    "loads in a row": ("ldr r0, [r4]; ldr r1, [r4, #4]; ldrb r2, [r4, #8]", 2 + 1 + 1, 0),
    "load needs the load before": ("ldr r0, [r4]; ldr r1, [r0]", 2 + 2, 0),
    "load, alu, load": ("ldr r0, [r4]; adds r2, r2, #1; ldr r1, [r4]", 2 + 1 + 2, 0),
    "alu writes the address": ("adds r4, r4, #4; ldr r0, [r4]", 1 + 2 + 1, 0),
    "alu writes the index": ("lsls r5, r6, #2; ldr r0, [r4, r5]", 1 + 2 + 1, 0),
    "alu writes another": ("adds r6, r6, #4; ldr r0, [r4]", 1 + 2, 0),
    "post-increment": ("ldr r0, [r4], #4; ldr r1, [r5], #4", 2 + 1, 0),
    "literal": ("ldr r0, [pc, #8]; ldr r1, [r4]", 2 + 1, 0),
    "stores": ("str r0, [r4]; str r1, [r4, #4]; strb r2, [r4, #8]", 3, 0),
    "store with register": ("str r0, [r4, r5]", 2, 0),
    "load, store with register": ("ldr r0, [r4]; str r1, [r4, r5]", 2 + 1, 0),
    "load gives the store's index": ("ldr r5, [r4]; str r1, [r6, r5]", 2 + 2, 0),
    "alu writes the store's address": ("adds r4, r4, #4; str r0, [r4]", 1 + 1 + 1, 0),
    "store, load": ("str r0, [r4]; ldr r1, [r4]", 1 + 2, 0),
    "ldm": ("ldmia r0!, {r1, r2, r3, r4}", 5, 0),
    "stm": ("stmia r0!, {r1, r2}", 3, 0),
    "push": ("push {r4, r5, r6, lr}", 5, 0),
    "pop": ("pop {r4, r5}", 3, 0),
    "pop to pc": ("pop {r4, r5, pc}", 1 + 3 + 2, 0),
    "alu writes ldm's base": ("add r0, r0, #16; ldmia r0, {r1, r2}", 1 + 3 + 1, 0),
    "ldrd": ("ldrd r0, r1, [r4]; strd r0, r1, [r5]", 6, 0),
    "conditional branch": ("subs r0, r0, #1; bne .", 2, 2),
    "cbz": ("cbz r0, . + 8", 1, 2),
    "branch": ("b .", 3, 0),
    "call": ("bl .", 3, 0),
    "call by register": ("blx r3", 3, 0),
    "return": ("adds r0, r0, #1; bx lr", 1 + 3, 0),
    "conditional return": ("it eq; bxeq lr", 1, 2),
    "load to pc": ("ldr pc, [r0]", 2 + 3, 0),
    "table branch": ("tbb [pc, r0]", 3 + 3, 0),
    "move to pc": ("mov pc, r0", 3, 0),
    "it": ("cmp r0, #0; ite eq; moveq r1, #1; movne r1, #2", 3, 0),
    "conditional load": ("it ne; ldrne r0, [r1]", 2, 0),
    "vadd, vmul": ("vadd.f32 s0, s1, s2; vmul.f32 s3, s4, s5", 2, 0),
    "fp result used": ("vmul.f32 s0, s1, s2; vadd.f32 s3, s0, s4", 3, 0),
    "fp result used later": ("vmul.f32 s0, s1, s2; vadd.f32 s5, s6, s7; vadd.f32 s3, s0, s4", 3, 0),
    "vmla": ("vmla.f32 s0, s1, s2; vfma.f32 s4, s5, s6", 6, 0),
    "vmla chain": ("vmla.f32 s0, s1, s2; vmla.f32 s0, s3, s4", 3 + 3 + 1, 0),
    "vdiv": ("vdiv.f32 s0, s1, s2; vsqrt.f32 s3, s4", 28, 0),
    "vcvt": ("vcvt.s32.f32 s0, s1", 1, 0),
    "vmov": ("vmov r0, s0; vmov s1, r1; vmov.f32 s2, s3", 3, 0),
    "vmov of two": ("vmov r0, r1, d0", 2, 0),
    "vldr": ("vldr s0, [r0]; vldr d1, [r0]", 2 + 3, 0),
    "vldm": ("vldmia r0!, {s0-s3}; vstmia r1!, {d2-d3}", 5 + 5, 0),
    "vpush": ("vpush {d8-d9}", 5, 0),
}


# Assembly of one block; words that it reads from flash, r0 = 0x1000 and r1 = 0x20000000 being known.
FLASH_READS = {
    "literal": ("ldr r5, [pc, #8]", 1),
    "from flash": ("ldr r5, [r0, #4]; ldrb r6, [r0, #8]", 2),
    "from ram": ("ldr r5, [r1, #4]", 0),
    "from nowhere": ("ldr r5, [r2]", 0),
    "pair": ("ldrd r5, r6, [r0]", 2),
    "many": ("ldmia r0!, {r5, r6, r7}; ldmia r1!, {r5, r6}; vldmia r0, {s0-s3}", 7),
    "stack": ("push {r5}; pop {r5}", 0),
    "moved": ("mov r5, r0; adds r5, #4; add.w r6, r5, r9, lsl #2; ldr r7, [r6]", 1),
    "indexed": ("ldr r5, [r0, r9]; ldr r6, [r1, r9]", 1),
    "back to nowhere": ("mul r0, r0, r1; ldr r5, [r0]", 0),
    "stepping": ("ldr r5, [r0], #4; str r5, [r1], #4; ldr r5, [r0]; ldr r5, [r1]", 2),
    "pointer in memory": ("ldr r5, [r1]; ldr r6, [r5]", 1),  # the word there is 0x2000
    "stores": ("str r5, [r0]; strd r5, r6, [r0]; stmia r0, {r5, r6}", 0),
}


@pytest.fixture(scope="module")
def assemble(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """All snippets assembled at once, each in a section of its own."""
    root = tmp_path_factory.mktemp("snippets")
    sources = {k: v[0] for k, v in SNIPPETS.items()} | {f"reads {k}": v[0] for k, v in FLASH_READS.items()}
    names = list(sources)
    text = [".syntax unified", ".thumb"]
    for n, name in enumerate(names):
        text += [f'.section .s{n},"ax",%progbits', *sources[name].split("; ")]
    (root / "all.s").write_text("\n".join(text) + "\n")
    prefix = toolchain.arm_gcc()
    flags = ["-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"]
    subprocess.run([prefix + "gcc", *flags, "-c", root / "all.s", "-o", root / "all.o"], check=True)
    from elftools.elf.elffile import ELFFile

    with (root / "all.o").open("rb") as file:
        elf = ELFFile(file)
        return {name: elf.get_section_by_name(f".s{n}").data() for n, name in enumerate(names)}


@pytest.mark.parametrize("name", SNIPPETS)
def test_price(name: str, assemble: dict[str, bytes]) -> None:
    source, cycles, taken = SNIPPETS[name]
    got = price(assemble[name], 0x10000)
    assert got.instructions == source.count(";") + 1
    assert (got.cycles, got.taken) == (cycles, taken)


@pytest.mark.parametrize("name", FLASH_READS)
def test_flash_reads(name: str, assemble: dict[str, bytes]) -> None:
    block = disassembler().disasm(assemble[f"reads {name}"], 0x10000)
    registers = {arm.ARM_REG_R0: 0x1000, arm.ARM_REG_R1: 0x20000000, arm.ARM_REG_SP: 0x20001000}
    assert flash_reads(block, registers, lambda address: 0x2000, 1 << 20) == FLASH_READS[name][1]


def test_counter_adds_up_blocks_and_jumps() -> None:
    """A loop of two blocks run by hand: sums, however the trace is cut into pieces."""
    subs_bne = bytes.fromhex("0138fed1")  # subs r0, #1; bne .: 2 cycles, +2 taken
    nops = bytes.fromhex("00bf00bf")  # 2 cycles, no branch
    code = {0x10000: nops, 0x10004: subs_bne, 0x20000100: nops}
    for ask_every in (1, 3, 1000):
        counter = Counter(lambda address, size: code[address][:size])
        for address in code:
            counter.translated(address, 4)
        expected, seen = 0, []
        for n in range(100):
            for address in (0x10000, *[0x10004] * 5):  # falls into the loop, four times round
                counter.hook(0, address)
                if n % ask_every == 0:
                    seen.append(counter.cycles())
            expected += 2 + 5 * 2 + 4 * 2
            counter.hook(0, 0x20000100)  # the loop's branch leaves it for RAM: a jump
            expected += 2 + 2
        assert counter.cycles() == expected
        assert counter.blocks() == 100 * 7
        assert counter.instructions() == 100 * 14
        assert seen == sorted(seen)
        profile = counter.profile([(0x10000, "first"), (0x10004, "loop"), (0x20000000, "in RAM")])
        assert profile == {"loop": 100 * (10 + 10), "first": 200, "in RAM": 200}


def test_counter_folds_a_full_trace() -> None:
    counter = Counter(lambda address, size: bytes.fromhex("00bf00bf"))
    counter.translated(0x10000, 4)
    runs = 2 * Counter.TRACE + 17
    for _ in range(runs):
        counter.hook(0, 0x10000)
    assert counter.cycles() == 2 * runs
    assert counter.blocks() == runs


def test_counter_keeps_apart_blocks_that_share_a_slot() -> None:
    """Addresses of boards with more memory clash in the lookup table; the sums must not care."""
    addresses = [0x1000 * n for n in range(1, 40)] + [0x10001000 + (n << 21) for n in range(40)]
    sizes = {a: 2 + 2 * (n % 7) for n, a in enumerate(addresses)}
    counter = Counter(lambda address, size: bytes.fromhex("00bf") * (size // 2))
    for address, size in sizes.items():
        counter.translated(address, size)
    rng = np.random.default_rng(1)
    expected = 0
    for address in rng.choice(addresses, 5000).tolist():
        counter.hook(0, address)
        expected += sizes[address] // 2
    assert counter.cycles() == expected


def test_empty_block_costs_nothing() -> None:
    assert price(b"", 0x10000) == Price(0, 0, 0)
