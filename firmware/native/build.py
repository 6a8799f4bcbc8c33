"""Writes the C source of the extension `mcu_asc._native`: build.py OUTPUT.c

cffi's API mode: the C compiler checks what is declared here against the headers.  A unit whose header is not
there is left out, so a part of firmware/ can be built alone.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

FIRMWARE = Path(__file__).resolve().parent.parent


@dataclass(frozen=True)
class Unit:
    """One header and what Python sees of it; the sources are listed in CMakeLists.txt."""

    header: str  # below firmware/
    cdef: str


UNITS = (
    Unit(
        "asc/asc_frontend.h",
        """
        typedef struct asc_fft_table asc_fft_table;
        typedef void asc_fft_fn(const asc_fft_table *t, const int16_t *x, int32_t *buf);
        struct asc_fft_table {
            uint16_t n;
            const int32_t *window;
            const int16_t *steps;
            const int32_t *twiddles;
            asc_fft_fn *power;
        };
        void asc_fft_power_256(const asc_fft_table *t, const int16_t *x, int32_t *buf);
        void asc_fft_power_512(const asc_fft_table *t, const int16_t *x, int32_t *buf);
        void asc_fft_power_1024(const asc_fft_table *t, const int16_t *x, int32_t *buf);
        void asc_fft_power_2048(const asc_fft_table *t, const int16_t *x, int32_t *buf);
        void asc_fft_power_4096(const asc_fft_table *t, const int16_t *x, int32_t *buf);

        typedef struct asc_fe asc_fe;
        typedef struct {
            uint64_t floor;
            int32_t one, mul, add, bits;
        } asc_fe_band;
        typedef void asc_bank_fn(const asc_fe *fe, const int32_t *spectrum, uint64_t *totals);
        void asc_bank_triangles(const asc_fe *fe, const int32_t *spectrum, uint64_t *totals);
        void asc_bank_sparse(const asc_fe *fe, const int32_t *spectrum, uint64_t *totals);
        void asc_fft_magnitude(int32_t *spectrum, uint32_t n);
        struct asc_fe {
            asc_fft_table fft;
            uint16_t window, hop, bands, first;
            void (*magnitude)(int32_t *spectrum, uint32_t n);
            asc_bank_fn *bank;
            const uint16_t *segments, *weights;
            const asc_fe_band *band, *delta;
            int32_t level_one, delta_scale;
            uint8_t side;
        };
        typedef struct asc_fe_state asc_fe_state;
        uint32_t asc_fe_state_bytes(const asc_fe *fe);
        asc_fe_state *asc_fe_init(void *memory, const asc_fe *fe);
        int32_t asc_log2_q16(uint64_t v);
        """,
    ),
    Unit(
        "native/asc_rows.h",
        """
        uint32_t asc_fe_rows(asc_fe_state *s, const asc_fe *fe, const int16_t *x, uint32_t count,
                             int16_t *log2, int8_t *q, int16_t *level);
        """,
    ),
)


def write(output: Path) -> None:
    """Puts the extension's C source at `output`."""
    from cffi import FFI

    units = [u for u in UNITS if (FIRMWARE / u.header).is_file()]
    ffi = FFI()
    ffi.set_source("mcu_asc._native", "".join(f'#include "{Path(u.header).name}"\n' for u in units))
    for unit in units:
        ffi.cdef(unit.cdef)
    ffi.emit_c_code(str(output))


if __name__ == "__main__":
    write(Path(sys.argv[1]))
