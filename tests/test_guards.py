"""What leaves its place in memory is told, and nothing after it counts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tiny

from mcu_asc import config
from mcu_asc.device.session import Session
from mcu_asc.device.targets import open_target
from mcu_asc.errors import DeviceError

PCM = np.random.default_rng(3).normal(0, 3_000, 8_000).astype(np.int16)
STACK = config.load_board("nano33").stack_bytes
ARENA = tiny.FRONT_END.rows * tiny.FRONT_END.bands + 64
# Spoils memory, put in place of the network's first statement.
HARM = {
    "behind": f"arena[({ARENA} + 15) / 16 * 16] ^= 1;",
    "before": "arena[-1] ^= 1;",
    "stack": "extern uint32_t asc_stack_bottom[]; asc_stack_bottom[1] = 0;",
    "deep": "harm_depth(arena, 0);",
}
DEPTH = """
static uint8_t harm_depth(uint8_t *arena, uint32_t n)
{
    volatile uint8_t room[256];
    room[0] = arena[n & 15u];
    return (uint8_t)(n == 1000u ? room[0] : harm_depth(arena, n + 1u) + room[0]);
}
"""


def harmed(tmp_path: Path, kind: str) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        directory = tiny.write(patch, tmp_path / "p")
    source = directory / "src" / "model.c"
    text = source.read_text()
    if kind == "deep":
        text = text.replace("static void invoke", DEPTH + "static void invoke", 1)
    first = "    const int8_t *in ="
    assert first in text
    source.write_text(text.replace(first, f"    {HARM[kind]}\n{first}", 1))
    return directory


def refuses(session: Session, says: str) -> None:
    """Whatever is asked, and for as long as it runs."""
    for _ in range(2):
        for ask in (lambda: session.classify(PCM), session.bench, session.hello):
            with pytest.raises(DeviceError, match=f"the device stopped: {says}") as e:
                ask()
            assert "stack_bytes" in e.value.hint
        session._line.read(0.2)


@pytest.mark.parametrize("on", ["host", "emulator"])
@pytest.mark.parametrize("side", ["before", "behind"])
def test_a_network_that_leaves_its_arena(tmp_path: Path, on: str, side: str) -> None:
    with open_target(harmed(tmp_path, side), on) as session:
        refuses(session, "the network wrote outside its arena")


def test_a_stack_that_was_all_used(tmp_path: Path) -> None:
    with open_target(harmed(tmp_path, "stack"), "emulator") as session:
        refuses(session, "the stack is too small")


def test_bench_looks_too(tmp_path: Path) -> None:
    with (
        open_target(harmed(tmp_path, "behind"), "emulator") as session,
        pytest.raises(DeviceError, match="the network wrote outside its arena"),
    ):
        session.bench()


def test_an_overflow_of_the_stack_faults_before_it_harms(tmp_path: Path) -> None:
    """The stack lies at RAM's bottom: below it is nothing, so no arena can be written over."""
    says = r"the device stopped: fault: stack overflow, write to unmapped address 0x1fff[0-9a-f]{4}"
    with (
        open_target(harmed(tmp_path, "deep"), "emulator") as session,
        pytest.raises(DeviceError, match=says),
    ):
        session.classify(PCM)


def test_a_sound_network_is_left_alone(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        directory = tiny.write(patch, tmp_path / "p")
    with open_target(directory, "emulator") as session:
        session.classify(PCM)
        assert 0 < session.bench().stack_bytes < STACK
