#!/usr/bin/env python3
"""Stands in for `renode` on PATH: the command line and the log of the real one, our own emulator inside.

It takes the port from -e '$port=N' and the firmware from the script that the other -e includes.  FAKE_RENODE
says how it misbehaves: dies, silent, aborts, stubborn.  FAKE_RENODE_PIDS is a file for the numbers of its
processes.
"""

import itertools
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path


def say(text: str) -> None:
    print(f"12:00:00.0000 {text}", flush=True)


def main() -> None:
    mode = os.environ.get("FAKE_RENODE", "")
    arguments = sys.argv[1:]
    assert arguments[:3] == ["--disable-xwt", "--plain", "-P"], arguments
    executed = "; ".join(value for key, value in itertools.pairwise(arguments) if key == "-e")
    port = re.search(r"\$port=(\d+)", executed)
    path = re.search(r"include @((?:\\ |[^ ;])+)", executed)
    assert port
    assert path
    script = Path(path[1].replace("\\ ", " "))
    lines = script.read_text().splitlines()
    elf = next(line.split("$ORIGIN/")[1] for line in lines if line.startswith("sysbus LoadELF"))
    assert any(line == "$port?=3456" for line in lines)
    assert "uart0: UART.NRF52840_UART" in (script.parent / "nrf52840.repl").read_text()
    say("[INFO] Loaded monitor commands from: /opt/renode/scripts/monitor.py")
    if mode == "dies":
        say("[INFO] Script: mcu-asc: platform loaded")
        say("[ERROR] Couldn't parse the platform description")
        sys.exit(1)
    if mode == "silent":
        time.sleep(600)
    if mode == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    command = [sys.executable, "-m", "mcu_asc.device.emulator", str(script.parent / elf), "--board", "nano33"]
    command += ["--quirks", "renode", "--port", port[1]]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout
    child.stdout.readline()
    Path(os.environ["FAKE_RENODE_PIDS"]).write_text(f"{os.getpid()} {child.pid}")
    say("[INFO] Script: mcu-asc: started")
    for _ in range(5_000):  # more than a pipe holds
        say("[WARNING] sysbus: a line of the log that somebody must read")
    if mode == "aborts":
        time.sleep(1.0)
        say("[ERROR] cpu: CPU abort [PC=0x12345]: Trying to execute code outside RAM or ROM at 0x70000000.")
    sys.exit(child.wait())


if __name__ == "__main__":
    main()
