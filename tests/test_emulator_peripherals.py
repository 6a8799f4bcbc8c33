"""The peripherals one by one, register by register, without a CPU."""

from __future__ import annotations

import numpy as np
import pytest

from mcu_asc.config import load_board
from mcu_asc.device.emulator import peripherals as hw
from mcu_asc.device.emulator.peripherals import UARTE0, Uarte

BOARD = load_board("nano33")
RAM = 0x20000000


class FakeLine:
    """A line whose far end is the test."""

    url = "test"

    def __init__(self) -> None:
        self.coming, self.sent, self.waits = bytearray(), bytearray(), 0

    def read(self, limit: int) -> bytes:
        data = bytes(self.coming[:limit])
        del self.coming[:limit]
        return data

    def wait(self, seconds: float) -> bool:
        self.waits += 1
        return bool(self.coming)

    def write(self, data: bytes) -> None:
        self.sent += data


class FakeMemory:
    def __init__(self) -> None:
        self.ram, self.faults = bytearray(1024), 0

    def dma_write(self, address: int, data: bytes) -> bool:
        at = address - RAM
        if at < 0 or at + len(data) > len(self.ram):
            self.faults += 1
            return False
        self.ram[at : at + len(data)] = data
        return True

    def dma_read(self, address: int, size: int) -> bytes:
        return bytes(self.ram[address - RAM : address - RAM + size])


class Bench:
    """A UARTE on a bus, set up as the port does it."""

    def __init__(self, *quirks: str, ready: bool = True) -> None:
        self.bus, self.line, self.memory = hw.Bus(), FakeLine(), FakeMemory()
        self.clock = hw.Clock(BOARD.clock_hz, lambda: 0)
        self.uarte = Uarte(self.bus, BOARD, self.clock, self.memory, self.line, frozenset(quirks))
        if ready:
            self.set(Uarte.PSEL_TXD, BOARD.uart_tx)
            self.set(Uarte.PSEL_RXD, BOARD.uart_rx)
            self.set(Uarte.BAUDRATE, 0x10000000)
            self.set(Uarte.ENABLE, 8)

    def get(self, offset: int) -> int:
        return self.bus.read(UARTE0 + offset, 4)

    def set(self, offset: int, value: int = 1) -> None:
        self.bus.write(UARTE0 + offset, 4, value)

    def arm(self, count: int, at: int = 0) -> None:
        self.set(Uarte.RX_PTR, RAM + at)
        self.set(Uarte.RX_MAXCNT, count)
        for event in (Uarte.ENDRX, Uarte.RXDRDY, Uarte.RXTO):
            self.set(event, 0)
        self.set(0x00)

    def stop(self) -> None:
        self.set(0x04)


def test_exactly_as_many_bytes_as_armed() -> None:
    b = Bench()
    b.line.coming += b"abcdefgh"
    assert b.get(Uarte.ENDRX) == 0  # not armed: nothing moves
    assert len(b.line.coming) == 8
    b.arm(5)
    assert b.get(Uarte.ENDRX) == 1
    assert b.get(Uarte.RXDRDY) == 1
    assert b.get(Uarte.RX_AMOUNT) == 5
    assert b.memory.ram[:6] == b"abcde\0"
    assert b.line.coming == b"fgh"


def test_amount_is_valid_after_endrx_only() -> None:
    b = Bench()
    b.arm(5)
    b.line.coming += b"abc"
    assert b.get(Uarte.RXDRDY) == 1
    assert (b.get(Uarte.ENDRX), b.get(Uarte.RX_AMOUNT), b.get(Uarte.RXTO)) == (0, 0, 0)
    b.stop()
    assert (b.get(Uarte.ENDRX), b.get(Uarte.RX_AMOUNT), b.get(Uarte.RXTO)) == (1, 3, 1)


def test_stop_after_the_end_gives_no_second_endrx() -> None:
    b = Bench()
    b.arm(1)
    b.line.coming += b"x"
    assert b.get(Uarte.ENDRX) == 1
    b.set(Uarte.ENDRX, 0)
    b.stop()
    assert (b.get(Uarte.ENDRX), b.get(Uarte.RXTO)) == (0, 1)


def test_polling_waits_only_while_armed_and_passes_time() -> None:
    b = Bench()
    b.get(Uarte.ENDRX)
    assert b.line.waits == 0
    b.arm(1)
    b.get(Uarte.ENDRX)
    assert b.line.waits == 1
    b.line.coming += b"x"
    b.get(Uarte.ENDRX)
    b.get(Uarte.ENDRX)
    assert b.line.waits == 1


def test_pointer_is_taken_at_start() -> None:
    b = Bench()
    b.arm(2, at=100)
    b.set(Uarte.RX_PTR, RAM + 200)
    b.line.coming += b"hi"
    b.get(Uarte.ENDRX)
    assert b.memory.ram[100:102] == b"hi"


def test_short_starts_again_at_the_new_pointer() -> None:
    b = Bench()
    b.set(Uarte.SHORTS, Uarte.ENDRX_STARTRX)
    b.arm(2)
    b.set(Uarte.RX_PTR, RAM + 10)
    b.line.coming += b"abcd"
    for _ in range(2):
        assert b.get(Uarte.ENDRX) == 1
        b.set(Uarte.ENDRX, 0)
    assert (b.memory.ram[:2], b.memory.ram[10:12]) == (b"ab", b"cd")


def test_maxcnt_has_16_bits() -> None:
    b = Bench()
    b.set(Uarte.RX_MAXCNT, 0x12345)
    assert b.get(Uarte.RX_MAXCNT) == 0x2345


def test_a_wire_overruns_behind_six_bytes_and_flush_empties_them() -> None:
    b = Bench("wire")
    b.arm(2)
    b.line.coming += b"ab" + b"cdefghij"
    assert b.get(Uarte.ENDRX) == 1
    assert b.get(Uarte.ERROR) == 1
    assert b.get(Uarte.ERRORSRC) == Uarte.OVERRUN
    b.set(Uarte.ERRORSRC, Uarte.OVERRUN)
    assert b.get(Uarte.ERRORSRC) == 0
    b.arm(8, at=16)  # six come from the FIFO, without an RXDRDY of their own
    assert (b.get(Uarte.ENDRX), b.get(Uarte.RXDRDY)) == (0, 0)
    assert b.memory.ram[16:24] == b"cdefgh\0\0"
    b.line.coming += b"kl" + b"mn"
    assert b.get(Uarte.ENDRX) == 1
    b.stop()
    b.set(Uarte.ENDRX, 0)
    b.set(Uarte.RX_PTR, RAM + 32)
    b.set(0x2C)
    assert (b.get(Uarte.ENDRX), b.get(Uarte.RX_AMOUNT)) == (1, 2)
    assert b.memory.ram[32:34] == b"mn"
    b.set(Uarte.ENDRX, 0)
    b.set(0x2C)  # empty: no event, the trap for those who wait for it
    assert b.get(Uarte.ENDRX) == 0


@pytest.mark.parametrize("quirk", ["wire", "renode"])
def test_bytes_before_the_first_start_are_lost(quirk: str) -> None:
    b = Bench(quirk)
    b.line.coming += b"early"
    b.get(Uarte.ENDRX)
    b.arm(3)
    assert b.get(Uarte.ENDRX) == 0
    b.line.coming += b"now"
    assert b.get(Uarte.ENDRX) == 1
    assert b.memory.ram[:3] == b"now"


def test_renode_pops_one_queued_byte_for_each_start_and_has_no_shorts() -> None:
    b = Bench("renode")
    b.set(Uarte.SHORTS, Uarte.ENDRX_STARTRX)
    b.arm(2)
    b.line.coming += b"abcdef"
    assert b.get(Uarte.ENDRX) == 1
    b.arm(4, at=10)
    assert b.get(Uarte.ENDRX) == 0
    assert b.memory.ram[10:14] == b"c\0\0\0"
    b.line.coming += b"g"  # a new byte pops one more, not two
    assert b.get(Uarte.ENDRX) == 0
    assert b.memory.ram[10:14] == b"cd\0\0"


def test_transmit() -> None:
    b = Bench()
    b.memory.ram[:5] = b"hello"
    b.set(Uarte.TX_PTR, RAM)
    b.set(Uarte.TX_MAXCNT, 5)
    b.set(0x08)
    assert (b.get(Uarte.ENDTX), b.get(Uarte.TX_AMOUNT), bytes(b.line.sent)) == (1, 5, b"hello")
    assert b.get(Uarte.TXSTOPPED) == 0
    b.set(0x0C)
    assert b.get(Uarte.TXSTOPPED) == 1


@pytest.mark.parametrize(
    ("register", "value"),
    [
        (Uarte.BAUDRATE, 0x01D60000),
        (Uarte.ENABLE, 0),
        (Uarte.PSEL_TXD, BOARD.uart_rx),
        (Uarte.PSEL_TXD, hw.DISCONNECTED),
    ],
)
def test_nothing_arrives_through_the_wrong_pin_or_at_the_wrong_rate(register: int, value: int) -> None:
    b = Bench()
    b.set(register, value)
    b.set(Uarte.TX_PTR, RAM)
    b.set(Uarte.TX_MAXCNT, 5)
    b.set(0x08)
    assert not b.line.sent


def test_reset_state_is_silent() -> None:
    b = Bench(ready=False)
    b.line.coming += b"x"
    b.arm(1)
    assert b.get(Uarte.ENDRX) == 0


def test_dma_outside_ram_is_reported_not_raised() -> None:
    b = Bench()
    b.arm(10, at=1020)
    b.line.coming += b"0123456789"
    b.get(Uarte.ENDRX)
    assert b.memory.faults == 1


def test_inten_set_and_clear() -> None:
    b = Bench()
    b.set(0x304, 0b1100)
    b.set(0x308, 0b0100)
    assert b.get(Uarte.INTEN) == 0b1000


# ---- the others --------------------------------------------------------------------------------------


class Cycles:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def test_timer() -> None:
    bus, cycles = hw.Bus(), Cycles()
    base = hw.TIMERS[0]
    hw.Timer(bus, base, hw.Clock(64_000_000, cycles), 4)
    bus.write(base + hw.Timer.PRESCALER, 4, 4)  # 1 MHz
    bus.write(base + 0x540, 4, 100)  # CC[0]

    def capture() -> int:
        bus.write(base + 0x44, 4, 1)
        return bus.read(base + 0x544, 4)

    cycles.now = 640
    assert capture() == 0  # not started
    bus.write(base + 0x00, 4, 1)
    cycles.now += 64 * 99
    assert (capture(), bus.read(base + 0x140, 4)) == (99, 0)
    cycles.now += 64
    assert bus.read(base + 0x140, 4) == 1
    bus.write(base + 0x140, 4, 0)
    assert bus.read(base + 0x140, 4) == 0
    cycles.now += 64 * 65_536  # BITMODE 0: 16 bits, once round
    assert (capture(), bus.read(base + 0x140, 4)) == (100, 1)
    bus.write(base + 0x04, 4, 1)
    cycles.now += 64_000
    assert capture() == 100  # stopped
    bus.write(base + 0x0C, 4, 1)
    assert capture() == 0
    bus.write(base + 0x508, 4, 3)
    bus.write(base + 0x00, 4, 1)
    cycles.now += 64 * 70_000
    assert capture() == 70_000  # 32 bits


def test_cycle_counter_counts_only_when_enabled() -> None:
    bus, cycles = hw.Bus(), Cycles()
    hw.core(bus, hw.Clock(64_000_000, cycles), 0x10000, lambda: None)
    demcr, ctrl, cyccnt = 0xE000EDFC, 0xE0001000, 0xE0001004
    cycles.now = 1000
    assert bus.read(cyccnt, 4) == 0
    bus.write(demcr, 4, 1 << 24)
    bus.write(ctrl, 4, 1)
    cycles.now += 50
    assert bus.read(cyccnt, 4) == 50
    bus.write(ctrl, 4, 0)
    cycles.now += 50
    assert bus.read(cyccnt, 4) == 50
    bus.write(cyccnt, 4, 7)
    bus.write(ctrl, 4, 1)
    cycles.now += 3
    assert bus.read(cyccnt, 4) == 10
    cycles.now += 1 << 32
    assert bus.read(cyccnt, 4) == 10
    assert bus.read(0xE000ED08, 4) == 0x10000  # VTOR as the bootloader leaves it


def test_reset_request_needs_the_key() -> None:
    asked: list[int] = []
    bus = hw.Bus()
    hw.core(bus, hw.Clock(64_000_000, Cycles()), 0, lambda: asked.append(1))
    bus.write(0xE000ED0C, 4, 4)
    assert not asked
    bus.write(0xE000ED0C, 4, 0x05FA0004)
    assert asked


def test_gpio() -> None:
    bus = hw.Bus()
    port = hw.GpioPort(bus, hw.GPIO[1])
    base = hw.GPIO[1]
    bus.write(base + 0x508, 4, 1 << 9)
    assert not port.level(9)  # still an input
    bus.write(base + 0x518, 4, 1 << 9)
    assert port.level(9)
    assert bus.read(base + 0x510, 4) == 1 << 9
    bus.write(base + 0x50C, 4, 1 << 9)
    assert not port.level(9)
    bus.write(base + 0x700 + 4 * 10, 4, 0xC)  # pulled up
    assert bus.read(base + 0x510, 4) == 1 << 10


def test_oscillator_and_chip_information() -> None:
    bus = hw.Bus()
    hw.clock_control(bus)
    hw.information(bus, BOARD)
    assert bus.read(0x40000100, 4) == 0
    bus.write(0x40000000, 4, 1)
    assert bus.read(0x40000100, 4) == 1
    assert bus.read(0x10000100, 4) == 0x52840
    assert bus.read(0x1000010C, 4) == BOARD.ram_bytes // 1024
    assert bus.read(0x10001000, 4) == 0xFFFFFFFF


def test_parts_of_a_register() -> None:
    bus = hw.Bus()
    bus.plain(0x1000, (0,), 0x44332211)
    assert [bus.read(0x1000 + n, 1) for n in range(4)] == [0x11, 0x22, 0x33, 0x44]
    assert bus.read(0x1002, 2) == 0x4433
    bus.write(0x1001, 1, 0xAB)
    assert bus.read(0x1000, 4) == 0x4433AB11


def test_unknown_registers_read_0_and_are_recorded() -> None:
    bus = hw.Bus()
    assert bus.read(0x4001D500, 4) == 0
    bus.write(0x4001D500, 4, 1)
    bus.read(0x4001D500, 4)
    assert bus.unknown == {("read", 0x4001D500): 2, ("write", 0x4001D500): 1}


def test_time_without_counting_stands_still_while_the_host_does_other_things() -> None:
    import time

    clock = hw.Clock(64_000_000)
    before = clock.cycles()
    time.sleep(0.2)
    assert clock.cycles() - before < 0.1 * 64_000_000
    clock.idle(0.5)
    assert clock.cycles() - before >= 0.5 * 64_000_000


# ---- the microphone --------------------------------------------------------------------------------


class Microphone:
    """A PDM on a bus, set up as the port does it: blocks of 16 samples at 16 kHz."""

    def __init__(self, samples: int = 1000, ready: bool = True) -> None:
        self.bus, self.memory, self.now, self.powered = hw.Bus(), FakeMemory(), 0, True
        self.clock = hw.Clock(BOARD.clock_hz, lambda: self.now)
        self.heard = np.arange(1, samples + 1).astype(np.int16)
        self.pdm = hw.Pdm(self.bus, BOARD, self.clock, self.memory, lambda: self.powered, self.heard)
        if ready:
            for offset, value in (
                (hw.Pdm.PSEL_CLK, BOARD.pdm_clk),
                (hw.Pdm.PSEL_DIN, BOARD.pdm_din),
                (hw.Pdm.CLKCTRL, 0x0A000000),
                (hw.Pdm.RATIO, 1),
                (hw.Pdm.MAXCNT, 16),
                (hw.Pdm.PTR, RAM),
                (hw.Pdm.ENABLE, 1),
            ):
                self.set(offset, value or 0)

    def get(self, offset: int) -> int:
        return self.bus.read(hw.PDM + offset, 4)

    def set(self, offset: int, value: int = 1) -> None:
        self.bus.write(hw.PDM + offset, 4, value)

    def block(self, at: int) -> list[int]:
        return np.frombuffer(self.memory.ram[at : at + 32], "<i2").tolist()

    def pass_blocks(self, count: float) -> int:
        """Emulated time goes on; returns how many blocks were filled."""
        self.now += int(count * 16 * BOARD.clock_hz / 16_000)
        filled = 0
        while self.pdm.pump():
            filled += 1
        return filled


def test_the_microphones_rate() -> None:
    m = Microphone()
    assert m.pdm.rate_hz == 16_000
    m.set(hw.Pdm.RATIO, 0)
    assert m.pdm.rate_hz == 20_000
    m.set(hw.Pdm.CLKCTRL, 0x12345678)
    m.set(0x00)
    assert not m.pdm.running  # no such clock


def test_a_block_comes_when_its_last_sample_has() -> None:
    m = Microphone()
    m.set(0x00)
    assert m.get(hw.Pdm.STARTED) == 1
    assert m.pass_blocks(0.99) == 0
    assert m.get(hw.Pdm.END) == 0
    assert m.pass_blocks(0.02) == 1
    assert m.get(hw.Pdm.END) == 1
    assert m.block(0) == list(range(1, 17))


def test_the_pointer_counts_for_the_block_after() -> None:
    m = Microphone()
    m.set(0x00)
    m.set(hw.Pdm.PTR, RAM + 64)  # on STARTED, while the first block is being filled
    m.pass_blocks(1)
    m.set(hw.Pdm.PTR, RAM + 128)  # too late for the second, which has begun
    m.pass_blocks(1)
    assert m.block(0) == list(range(1, 17))
    assert m.block(64) == list(range(17, 33))
    m.pass_blocks(1)
    assert m.block(128) == list(range(33, 49))


def test_a_pointer_left_alone_is_written_over() -> None:
    m = Microphone()
    m.set(0x00)
    assert m.pass_blocks(3) == 3
    assert m.block(0) == list(range(33, 49))


def test_silence_behind_the_end_and_without_power_or_pins() -> None:
    m = Microphone(samples=20)
    m.set(0x00)
    m.set(hw.Pdm.PTR, RAM + 32)
    m.pass_blocks(2)
    assert m.block(32) == [17, 18, 19, 20] + [0] * 12
    for spoil in ("power", hw.Pdm.PSEL_CLK, hw.Pdm.PSEL_DIN):
        m = Microphone()
        if isinstance(spoil, int):
            m.set(spoil, 0xFFFFFFFF)
        m.powered = spoil != "power"
        m.set(0x00)
        m.pass_blocks(1)
        assert m.block(0) == [0] * 16


def test_the_microphones_interrupt() -> None:
    m = Microphone()
    m.set(0x00)
    assert not m.pdm.asserted
    m.set(0x304, 1)
    assert m.pdm.asserted
    m.set(hw.Pdm.STARTED, 0)
    assert not m.pdm.asserted
    m.pass_blocks(1)
    assert m.pdm.asserted
    m.set(0x308, 1)
    assert not m.pdm.asserted
    m.set(0x04)
    assert m.get(hw.Pdm.STOPPED) == 1
    assert m.pass_blocks(5) == 0


def test_interrupts_are_enabled_and_disabled_by_bits() -> None:
    bus = hw.Bus()
    nvic = hw.Nvic(bus)
    bus.write(hw.PPB + 0xE100, 4, 1 << 29 | 1 << 2)
    bus.write(hw.PPB + 0xE180, 4, 1 << 2)
    assert [n for n in range(64) if nvic.enabled(n)] == [29]
    assert bus.read(hw.PPB + 0xE180, 4) == 1 << 29
    bus.write(hw.PPB + 0xE104, 4, 1)
    assert nvic.enabled(32)
