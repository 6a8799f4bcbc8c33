/* What runs where there is no operating system, and on a PC. */
#include "asc_firmware.h"

int main(void)
{
    asc_firmware_start();
    for (;;) {
        asc_firmware_step();
    }
}
