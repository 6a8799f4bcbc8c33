"""The nRF52840's peripherals, as tables of registers: what the firmware can see, and nothing behind it.

A peripheral lists its plain registers (a value that is kept) and the few whose reading or writing does
something.  Everything else reads 0 and is recorded in `Bus.unknown`.  Offsets and behaviour: nRF52840
product specification 1.7, ARMv7-M reference manual for 0xE000xxxx.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from mcu_asc.device.emulator.serial_line import Line
from mcu_asc.nouns import Board

Read = Callable[[], int]
Write = Callable[[int], None]

UARTE0, RTC1, NVMC, CLOCK, POWER = 0x40002000, 0x40011000, 0x4001E000, 0x40000000, 0x40000000
PDM, PDM_IRQ = 0x4001D000, 29
TIMERS = (0x40008000, 0x40009000, 0x4000A000, 0x4001A000, 0x4001B000)
GPIO = (0x50000000, 0x50000300)
PPB, FICR, UICR = 0xE0000000, 0x10000000, 0x10001000

DISCONNECTED = 0xFFFFFFFF
PDM_CLOCKS = {  # product specification 6.15: CLKCTRL -> Hz
    **{0x08000000: 1_000_000, 0x08400000: 1_032_258, 0x08800000: 1_066_667},
    **{0x09800000: 1_230_769, 0x0A000000: 1_280_000, 0x0A800000: 1_333_333},
}
BAUDRATES = {0x01D60000: 115_200, 0x07400000: 460_800, 0x0F000000: 921_600, 0x10000000: 1_000_000}


class Memory(Protocol):
    """What DMA needs of the machine; a fault is recorded there, never raised."""

    def dma_write(self, address: int, data: bytes) -> bool: ...

    def dma_read(self, address: int, size: int) -> bytes: ...


@dataclass
class Bus:
    """Registers by absolute address."""

    values: dict[int, int] = field(default_factory=dict)
    reads: dict[int, Read] = field(default_factory=dict)
    writes: dict[int, Write] = field(default_factory=dict)
    unknown: dict[tuple[str, int], int] = field(default_factory=dict)  # ("read" | "write", address) -> times

    def plain(self, base: int, offsets: Iterable[int], reset: int = 0) -> None:
        """Registers that keep what is written to them."""
        self.values |= {base + offset: reset for offset in offsets}

    def task(self, base: int, offset: int, action: Callable[[], None]) -> None:
        """Writing 1 does something; reads as 0."""

        def write(value: int) -> None:
            if value & 1:
                action()

        self.values[base + offset] = 0
        self.writes[base + offset] = write

    def read(self, address: int, size: int) -> int:
        word = address & ~3
        if (reader := self.reads.get(word)) is not None:
            value = reader()
        elif (kept := self.values.get(word)) is not None:
            value = kept
        else:
            self.unknown["read", word] = self.unknown.get(("read", word), 0) + 1
            return 0
        return value >> 8 * (address & 3) & (1 << 8 * size) - 1

    def write(self, address: int, size: int, value: int) -> None:
        word = address & ~3
        if size < 4:
            shift = 8 * (address & 3)
            mask = (1 << 8 * size) - 1 << shift
            value = self.values.get(word, 0) & ~mask | value << shift & mask
        if (writer := self.writes.get(word)) is not None:
            writer(value)
        elif word in self.values:
            self.values[word] = value
        else:
            self.unknown["write", word] = self.unknown.get(("write", word), 0) + 1


class Clock:
    """Emulated time in CPU cycles; never goes back.

    With a cycle counter: what it has counted, plus time spent waiting for the line.  Without: this
    thread's CPU time instead of the count, so that a host busy with other things does not make the
    firmware's time-outs expire.
    """

    def __init__(self, hz: int, counted: Read | None = None) -> None:
        self.hz = hz
        self._counted = counted
        self._idle_s = 0.0
        self.hurried = False  # something else than the line paces time: waiting for the line costs none

    def cycles(self) -> int:
        ran = self._counted() if self._counted else int(time.thread_time() * self.hz)
        return ran + int(self._idle_s * self.hz)

    def idle(self, seconds: float) -> None:
        """Time passes while the CPU does nothing that is counted."""
        self._idle_s += seconds


class Uarte:
    """UARTE0: EasyDMA in both directions, a 6-byte receive FIFO, events as on silicon.

    The line is paced: bytes are taken from it only while a transfer is armed, so that a TCP client
    cannot overrun the receiver.  Quirks: "wire" takes them as they come, as a wire does: six go to the
    FIFO, the rest are lost with OVERRUN.  "renode" behaves as Renode's model: no SHORTS, bytes before
    the first STARTRX dropped, bytes that come while ENDRX is set queued without limit, but each STARTRX
    and each new byte takes only one of them.
    """

    FIFO = 6
    SLICE_S = 0.002  # longest wait inside one poll, so that 50 ms time-outs stay accurate

    RXDRDY, ENDRX, TXDRDY, ENDTX, ERROR = 0x108, 0x110, 0x11C, 0x120, 0x124
    RXTO, RXSTARTED, TXSTARTED, TXSTOPPED = 0x144, 0x14C, 0x150, 0x158
    EVENTS = (0x100, 0x104, RXDRDY, ENDRX, TXDRDY, ENDTX, ERROR, RXTO, RXSTARTED, TXSTARTED, TXSTOPPED)
    SHORTS, INTEN, ERRORSRC, ENABLE = 0x200, 0x300, 0x480, 0x500
    PSEL_RTS, PSEL_TXD, PSEL_CTS, PSEL_RXD, BAUDRATE = 0x508, 0x50C, 0x510, 0x514, 0x524
    RX_PTR, RX_MAXCNT, RX_AMOUNT, TX_PTR, TX_MAXCNT, TX_AMOUNT = 0x534, 0x538, 0x53C, 0x544, 0x548, 0x54C
    CONFIG = 0x56C
    ENDRX_STARTRX, ENDRX_STOPRX, OVERRUN = 0x20, 0x40, 1

    def __init__(
        self, bus: Bus, board: Board, clock: Clock, memory: Memory, line: Line, quirks: frozenset[str]
    ) -> None:
        self._bus, self._board, self._clock, self._memory, self._line = bus, board, clock, memory, line
        self._renode = "renode" in quirks
        self._paced = not quirks & {"renode", "wire"}
        self._on = False  # the receiver runs
        self._armed = False  # and has a buffer
        self._pointer = self._left = self._amount = 0
        self._fifo = bytearray()
        self.received = self.sent = 0  # bytes, for tests and reports

        plain = (
            self.INTEN,
            self.CONFIG,
            self.RX_PTR,
            self.TX_PTR,
            self.RX_AMOUNT,
            self.TX_AMOUNT,
            self.SHORTS,
        )
        bus.plain(UARTE0, (*self.EVENTS, *plain, self.ERRORSRC, self.ENABLE))
        bus.plain(UARTE0, (self.PSEL_RTS, self.PSEL_TXD, self.PSEL_CTS, self.PSEL_RXD), DISCONNECTED)
        bus.plain(UARTE0, (self.BAUDRATE,), 0x04000000)
        bus.task(UARTE0, 0x00, self._start_rx)
        bus.task(UARTE0, 0x04, self._stop_rx)
        bus.task(UARTE0, 0x08, self._start_tx)
        bus.task(UARTE0, 0x0C, self._stop_tx)
        bus.task(UARTE0, 0x2C, self._flush_rx)
        for event in (self.RXDRDY, self.ENDRX):
            bus.reads[UARTE0 + event] = self._polled(UARTE0 + event)
        for offset in (self.RX_MAXCNT, self.TX_MAXCNT):
            bus.plain(UARTE0, (offset,))
            bus.writes[UARTE0 + offset] = self._sixteen_bits(UARTE0 + offset)
        bus.values[UARTE0 + 0x304] = bus.values[UARTE0 + 0x308] = 0
        bus.writes[UARTE0 + 0x304] = lambda v: self._set(self.INTEN, self._get(self.INTEN) | v)
        bus.writes[UARTE0 + 0x308] = lambda v: self._set(self.INTEN, self._get(self.INTEN) & ~v)
        bus.writes[UARTE0 + self.ERRORSRC] = lambda v: self._set(self.ERRORSRC, self._get(self.ERRORSRC) & ~v)
        bus.writes[UARTE0 + self.ENABLE] = self._enable
        bus.writes[UARTE0 + self.RX_AMOUNT] = bus.writes[UARTE0 + self.TX_AMOUNT] = lambda v: None

    def as_the_bootloader_left_it(self, buffer: int) -> None:
        """Enabled and receiving a byte to `buffer`: firmware that does not stop it has its RAM written to."""
        self._set(self.PSEL_TXD, self._board.uart_tx)
        self._set(self.PSEL_RXD, self._board.uart_rx)
        self._set(self.BAUDRATE, 0x01D60000)
        self._set(self.ENABLE, 8)
        self._set(self.RX_PTR, buffer)
        self._set(self.RX_MAXCNT, 1)
        self._on = self._armed = not self._renode
        self._pointer, self._left = buffer, 1

    # -- registers ---------------------------------------------------------------------------------

    def _get(self, offset: int) -> int:
        return self._bus.values[UARTE0 + offset]

    def _set(self, offset: int, value: int = 1) -> None:
        self._bus.values[UARTE0 + offset] = value & 0xFFFFFFFF

    def _sixteen_bits(self, address: int) -> Write:
        def write(value: int) -> None:
            self._bus.values[address] = value & 0xFFFF

        return write

    def _enable(self, value: int) -> None:
        self._set(self.ENABLE, value & 15)
        if value & 15 != 8:
            self._on = self._armed = False
            self._fifo.clear()

    @property
    def _wired(self) -> bool:
        """The pins and the baud rate are those at which the other end listens."""
        baud = BAUDRATES.get(self._get(self.BAUDRATE))
        return self._get(self.ENABLE) == 8 and baud == self._board.baud

    def _polled(self, address: int) -> Read:
        def read() -> int:
            values = self._bus.values
            if not values[address]:
                self._pump()
                if not values[address] and self._on and self._armed and not self._left_in_fifo():
                    self._sleep()
                    self._pump()
            return values[address]

        return read

    def _left_in_fifo(self) -> bool:
        return bool(self._fifo) and not self._renode

    def _sleep(self) -> None:
        if self._clock.hurried:
            return
        start = time.monotonic()
        self._line.wait(self.SLICE_S)
        self._clock.idle(min(time.monotonic() - start, self.SLICE_S))

    # -- receive -----------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Moves what has come from the line to the buffer, as far as the receiver can take it."""
        if not self._on:
            if not self._paced:
                self._line.read(1 << 16)  # lost
            return
        if not self._wired or self._get(self.PSEL_RXD) != self._board.uart_rx:
            return
        if self._paced:
            if self._armed and self._left:
                self._take(self._line.read(self._left))
        elif self._renode:
            for byte in self._line.read(1 << 16):
                self._fifo.append(byte)
                self._pop_one()
        else:
            self._take(self._line.read(1 << 16))

    def _take(self, data: bytes) -> None:
        """Bytes arrive: to the buffer, then to the FIFO, then nowhere."""
        if not data:
            return
        self.received += len(data)
        self._set(self.RXDRDY)
        self._fifo += data
        self._drain()
        if len(self._fifo) > self.FIFO:
            del self._fifo[self.FIFO :]
            self._set(self.ERRORSRC, self._get(self.ERRORSRC) | self.OVERRUN)
            self._set(self.ERROR)

    def _drain(self) -> None:
        while self._armed and self._fifo:
            self._dma(min(self._left, len(self._fifo)))
            if self._left:
                return
            self._end_rx()

    def _dma(self, count: int) -> None:
        data = bytes(self._fifo[:count])
        del self._fifo[:count]
        if self._memory.dma_write(self._pointer, data):
            self._pointer += count
            self._amount += count
        self._left -= count

    def _end_rx(self) -> None:
        self._armed = False
        self._set(self.RX_AMOUNT, self._amount)
        self._set(self.ENDRX)
        if self._renode:
            return
        shorts = self._get(self.SHORTS)
        if shorts & self.ENDRX_STARTRX:
            self._start_rx()
        elif shorts & self.ENDRX_STOPRX:
            self._stop_rx()

    def _pop_one(self) -> None:
        """Renode: one byte of the queue to the buffer, unless ENDRX is still set."""
        if self._get(self.ENDRX) or not self._fifo:
            return
        self.received += 1
        self._dma(1)
        self._set(self.RX_AMOUNT, self._amount)
        if self._left == 0:
            self._end_rx()
        self._set(self.RXDRDY)

    def _start_rx(self) -> None:
        if self._get(self.ENABLE) != 8:
            return
        if not self._paced:
            self._pump()  # what came before belongs to the state before
        self._on = self._armed = True
        self._pointer, self._left, self._amount = self._get(self.RX_PTR), self._get(self.RX_MAXCNT), 0
        self._set(self.RXSTARTED)
        if self._renode:
            self._set(self.RX_AMOUNT, 0)
            self._pop_one()
        elif self._left == 0:
            self._end_rx()
        else:
            self._drain()

    def _stop_rx(self) -> None:
        if self._on and self._armed:
            self._set(self.RX_AMOUNT, self._amount)
            self._set(self.ENDRX)
        self._on = self._armed = False
        self._set(self.RXTO)

    def _flush_rx(self) -> None:
        """The FIFO to the buffer at PTR; no ENDRX when it is empty."""
        if self._renode or not self._fifo:
            return
        self._pointer, self._left, self._amount = self._get(self.RX_PTR), self._get(self.RX_MAXCNT), 0
        self._dma(min(self._left, len(self._fifo)))
        self._set(self.RX_AMOUNT, self._amount)
        self._set(self.ENDRX)

    # -- transmit ----------------------------------------------------------------------------------

    def _start_tx(self) -> None:
        if self._get(self.ENABLE) != 8:
            return
        count = self._get(self.TX_MAXCNT)
        data = self._memory.dma_read(self._get(self.TX_PTR), count)
        self._set(self.TXSTARTED)
        if self._wired and self._get(self.PSEL_TXD) == self._board.uart_tx:
            self._line.write(data)
            self.sent += len(data)
        self._set(self.TXDRDY)
        self._set(self.TX_AMOUNT, count)
        self._set(self.ENDTX)
        if self._renode:
            self._set(self.TXSTOPPED)

    def _stop_tx(self) -> None:
        self._set(self.TXSTOPPED)


class Pdm:
    """PDM: a microphone that plays given samples, paced by emulated time, into RAM by EasyDMA.

    As on silicon SAMPLE.PTR and MAXCNT are taken when a block begins, which is when STARTED is said; the
    next block begins where the last one ends, at whatever PTR then holds.  Samples reach RAM when their block
    is full.  Behind the last given sample, and without power, clock or data pin, it hears silence.
    """

    STARTED, STOPPED, END, INTEN, ENABLE = 0x100, 0x104, 0x108, 0x300, 0x500
    CLKCTRL, MODE, GAINL, GAINR, RATIO = 0x504, 0x508, 0x518, 0x51C, 0x520
    PSEL_CLK, PSEL_DIN, PTR, MAXCNT = 0x540, 0x544, 0x560, 0x564
    RATIOS = (64, 80)

    def __init__(
        self,
        bus: Bus,
        board: Board,
        clock: Clock,
        memory: Memory,
        powered: Callable[[], bool],
        samples: NDArray[np.int16],
    ) -> None:
        self._bus, self._board, self._clock, self._memory = bus, board, clock, memory
        self._powered, self._samples = powered, samples
        self.running = False
        self._since = 0  # cycle count at START
        self._played = 0  # samples since then, whole blocks
        self._pointer = self._count = 0  # of the block that is being filled
        bus.plain(PDM, (self.STARTED, self.STOPPED, self.END, self.INTEN, self.ENABLE, self.MODE, self.RATIO))
        bus.plain(PDM, (self.PTR, self.MAXCNT))
        bus.plain(PDM, (self.GAINL, self.GAINR), 0x28)
        bus.plain(PDM, (self.CLKCTRL,), 0x08400000)
        bus.plain(PDM, (self.PSEL_CLK, self.PSEL_DIN), DISCONNECTED)
        bus.task(PDM, 0x00, self._start)
        bus.task(PDM, 0x04, self._stop)
        bus.values[PDM + 0x304] = bus.values[PDM + 0x308] = 0
        bus.writes[PDM + 0x304] = lambda v: self._set(self.INTEN, self._get(self.INTEN) | v)
        bus.writes[PDM + 0x308] = lambda v: self._set(self.INTEN, self._get(self.INTEN) & ~v)
        bus.writes[PDM + self.MAXCNT] = lambda v: self._set(self.MAXCNT, v & 0x7FFF)

    def _get(self, offset: int) -> int:
        return self._bus.values[PDM + offset]

    def _set(self, offset: int, value: int = 1) -> None:
        self._bus.values[PDM + offset] = value & 0xFFFFFFFF

    @property
    def rate_hz(self) -> float:
        """What CLKCTRL and RATIO give; 0 for a clock that does not exist."""
        return PDM_CLOCKS.get(self._get(self.CLKCTRL), 0) / self.RATIOS[self._get(self.RATIO) & 1]

    @property
    def asserted(self) -> bool:
        """The interrupt line."""
        events = (self.STARTED, self.STOPPED, self.END)
        return any(self._get(self.INTEN) >> n & 1 and self._get(e) for n, e in enumerate(events))

    def _start(self) -> None:
        if not self._get(self.ENABLE) & 1 or not self.rate_hz:
            return
        self.running = self._clock.hurried = True
        self._since, self._played = self._clock.cycles(), 0
        self._begin()

    def _stop(self) -> None:
        self.running = self._clock.hurried = False
        self._set(self.STOPPED)

    def _begin(self) -> None:
        self._pointer, self._count = self._get(self.PTR), self._get(self.MAXCNT)
        self._set(self.STARTED)

    def due(self) -> int:
        """The cycle count at which the block is full."""
        return self._since + math.ceil((self._played + self._count) * self._clock.hz / self.rate_hz)

    def pump(self) -> bool:
        """Fills one block if its time has come; True when it did."""
        if not self.running or not self._count or self._clock.cycles() < self.due():
            return False
        wired = self._get(self.PSEL_CLK) == self._board.pdm_clk and self._powered()
        heard = np.zeros(self._count, "<i2")
        if wired and self._get(self.PSEL_DIN) == self._board.pdm_din:
            part = self._samples[self._played : self._played + self._count]
            heard[: len(part)] = part
        self._memory.dma_write(self._pointer, heard.tobytes())
        self._played += self._count
        self._set(self.END)
        self._begin()
        return True


class Nvic:
    """Which interrupts are enabled.  Pending is what a peripheral asserts: nothing is latched here."""

    def __init__(self, bus: Bus) -> None:
        self._enabled = [0, 0]
        for n in range(2):
            for offset in (0xE100, 0xE180):
                bus.values[PPB + offset + 4 * n] = 0
                bus.reads[PPB + offset + 4 * n] = lambda n=n: self._enabled[n]  # type: ignore[misc]
            bus.writes[PPB + 0xE100 + 4 * n] = lambda v, n=n: self._change(n, v, 0)  # type: ignore[misc]
            bus.writes[PPB + 0xE180 + 4 * n] = lambda v, n=n: self._change(n, 0, v)  # type: ignore[misc]

    def _change(self, n: int, on: int, off: int) -> None:
        self._enabled[n] = (self._enabled[n] | on) & ~off

    def enabled(self, number: int) -> bool:
        return bool(self._enabled[number >> 5] >> (number & 31) & 1)


class Timer:
    """TIMERn: counts 16 MHz / 2^PRESCALER from START; COMPARE events are worked out when they are read."""

    WIDTHS = (16, 8, 24, 32)
    BITMODE, PRESCALER, COMPARE, CC = 0x508, 0x510, 0x140, 0x540

    def __init__(self, bus: Bus, base: int, clock: Clock, channels: int) -> None:
        self._bus, self._base, self._clock = bus, base, clock
        self._running = False
        self._ticks = 0  # counted until the last START, STOP or CLEAR
        self._since = 0  # cycles then
        self._seen = [0] * channels  # ticks up to which COMPARE has been looked at
        bus.plain(base, (0x200, 0x304, 0x308, 0x504, self.BITMODE))
        bus.plain(base, (self.PRESCALER,), 4)
        bus.task(base, 0x00, lambda: self._run(True))
        bus.task(base, 0x04, lambda: self._run(False))
        bus.task(base, 0x0C, self._clear)
        for n in range(channels):
            bus.plain(base, (self.CC + 4 * n, self.COMPARE + 4 * n))
            bus.task(base, 0x40 + 4 * n, lambda n=n: self._capture(n))  # type: ignore[misc]
            bus.reads[base + self.COMPARE + 4 * n] = lambda n=n: self._compare(n)  # type: ignore[misc]
            bus.writes[base + self.COMPARE + 4 * n] = lambda v, n=n: self._rearm(n, v)  # type: ignore[misc]

    def _now(self) -> int:
        if not self._running:
            return self._ticks
        prescaler = min(self._bus.values[self._base + self.PRESCALER] & 15, 9)
        return self._ticks + (self._clock.cycles() - self._since) * 16_000_000 // (
            self._clock.hz << prescaler
        )

    def _modulus(self) -> int:
        return 1 << self.WIDTHS[self._bus.values[self._base + self.BITMODE] & 3]

    def _run(self, running: bool) -> None:
        self._ticks, self._since, self._running = self._now(), self._clock.cycles(), running

    def _clear(self) -> None:
        self._ticks, self._since = 0, self._clock.cycles()
        self._seen = [0] * len(self._seen)

    def _capture(self, n: int) -> None:
        self._bus.values[self._base + self.CC + 4 * n] = self._now() % self._modulus()

    def _compare(self, n: int) -> int:
        """Sets the event when the counter has passed CC since it was last looked at."""
        values, event = self._bus.values, self._base + self.COMPARE + 4 * n
        now, modulus = self._now(), self._modulus()
        ahead = (values[self._base + self.CC + 4 * n] - self._seen[n] - 1) % modulus + 1
        if now - self._seen[n] >= ahead:
            values[event] = 1
        self._seen[n] = now
        return values[event]

    def _rearm(self, n: int, value: int) -> None:
        self._compare(n)
        self._bus.values[self._base + self.COMPARE + 4 * n] = value


class GpioPort:
    """A GPIO port's output side: OUT, DIR and their SET and CLEAR registers; inputs read as pulled."""

    def __init__(self, bus: Bus, base: int) -> None:
        self._bus, self._base = bus, base
        bus.plain(base, (0x504, 0x514))
        bus.plain(base, range(0x700, 0x780, 4), 2)
        for register, set_, clear in ((0x504, 0x508, 0x50C), (0x514, 0x518, 0x51C)):
            address = base + register
            for offset in (set_, clear):
                bus.reads[base + offset] = lambda a=address: bus.values[a]  # type: ignore[misc]
            bus.writes[base + set_] = lambda v, a=address: self._change(a, v, 0)  # type: ignore[misc]
            bus.writes[base + clear] = lambda v, a=address: self._change(a, 0, v)  # type: ignore[misc]
        bus.reads[base + 0x510] = self._in

    def _change(self, address: int, on: int, off: int) -> None:
        self._bus.values[address] = (self._bus.values[address] | on) & ~off & 0xFFFFFFFF

    def _in(self) -> int:
        pulled = sum(1 << n for n in range(32) if self._bus.values[self._base + 0x700 + 4 * n] >> 2 & 3 == 3)
        out, direction = self._bus.values[self._base + 0x504], self._bus.values[self._base + 0x514]
        return out & direction | pulled & ~direction

    def level(self, pin: int) -> bool:
        """The output level of `pin` (0 .. 31); False while it is an input."""
        both = self._bus.values[self._base + 0x504] & self._bus.values[self._base + 0x514]
        return bool(both >> pin & 1)


def clock_control(bus: Bus) -> None:
    """CLOCK: both oscillators start at once."""
    bus.plain(CLOCK, (0x100, 0x104, 0x304, 0x308, 0x408, 0x40C, 0x414, 0x418, 0x518))
    for start, stop, event, status, running in (
        (0x00, 0x04, 0x100, 0x40C, 0x10001),
        (0x08, 0x0C, 0x104, 0x418, 0x10001),
    ):

        def on(event: int = event, status: int = status, running: int = running) -> None:
            bus.values[CLOCK + event] = 1
            bus.values[CLOCK + status] = running

        def off(status: int = status) -> None:
            bus.values[CLOCK + status] = 0

        bus.task(CLOCK, start, on)
        bus.task(CLOCK, stop, off)


def rtc1(bus: Bus) -> None:
    """RTC1 as the bootloader leaves it: compare armed.  It raises no interrupt here."""
    bus.plain(RTC1, (0x100, 0x104, *range(0x140, 0x150, 4), 0x504, 0x508, *range(0x540, 0x550, 4)))
    bus.plain(RTC1, (0x304, 0x308, 0x344, 0x348))
    for offset in (0x00, 0x04, 0x08):
        bus.task(RTC1, offset, lambda: None)


def nvmc(bus: Bus) -> None:
    """NVMC: always ready; the instruction cache's switch.  Flash is not written here."""
    bus.plain(NVMC, (0x400, 0x408), 1)
    bus.plain(NVMC, (0x504, 0x540, 0x548, 0x54C))


def information(bus: Bus, board: Board) -> None:
    """FICR and UICR: part, variant, sizes in KiB; unset user registers read as erased flash."""
    bus.plain(FICR, range(0, 0x400, 4), 0xFFFFFFFF)
    bus.plain(UICR, range(0, 0x400, 4), 0xFFFFFFFF)
    facts = {0x10: 4096, 0x14: board.flash_bytes // 4096, 0x100: 0x52840, 0x10C: board.ram_bytes // 1024}
    bus.values |= {FICR + k: v for k, v in facts.items()} | {FICR + 0x110: board.flash_bytes // 1024}


def core(bus: Bus, clock: Clock, vector_table: int, reset: Callable[[], None]) -> None:
    """The private peripheral bus: DWT's cycle counter, SCB; the NVIC's enables are Nvic's."""
    demcr, ctrl, cyccnt, aircr = PPB + 0xEDFC, PPB + 0x1000, PPB + 0x1004, PPB + 0xED0C
    bus.plain(PPB, (*range(0xE100, 0xE120, 4), *range(0xE180, 0xE1A0, 4), *range(0xE280, 0xE2A0, 4)))
    bus.plain(PPB, (*range(0xE400, 0xE4F0, 4), 0xE010, 0xE014, 0xE018, 0xE01C))
    bus.plain(PPB, (0xED04, 0xED0C, 0xED10, 0xED14, 0xED18, 0xED1C, 0xED20, 0xED24, 0xED28, 0xED2C))
    bus.plain(PPB, (0xED34, 0xED38, 0xED88, 0xEDF0, 0xEDFC, 0xEF34, 0xEF38, 0xEF3C, 0x1000))
    bus.values |= {PPB + 0xED00: 0x410FC241, PPB + 0xED08: vector_table}
    state = {"base": 0, "stopped": 0}  # CYCCNT = cycles - base while it counts

    def counting() -> bool:
        return bool(bus.values[demcr] >> 24 & 1 and bus.values[ctrl] & 1)

    def read() -> int:
        return (clock.cycles() - state["base"] if counting() else state["stopped"]) & 0xFFFFFFFF

    def write(value: int) -> None:
        state["base"], state["stopped"] = clock.cycles() - value, value

    def switch(address: int) -> Write:
        def change(value: int) -> None:
            before = read()
            bus.values[address] = value
            write(before)

        return change

    def restart(value: int) -> None:
        if value >> 16 == 0x05FA and value & 4:
            reset()

    bus.values[cyccnt] = 0
    bus.reads[cyccnt], bus.writes[cyccnt] = read, write
    bus.writes[demcr], bus.writes[ctrl] = switch(demcr), switch(ctrl)
    bus.writes[aircr] = restart
