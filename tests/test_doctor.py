"""The doctor: what it finds on machines that lack things, and that every remedy is there."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from mcu_asc import toolchain
from mcu_asc.cli import main
from mcu_asc.device import ports
from mcu_asc.device.ports import UsbPort
from mcu_asc.results import doctor
from mcu_asc.results.doctor import Finding, examine

NANO = UsbPort("/dev/null", 0x2341, 0x805A, "C0FFEE", "1-4", "Nano 33 BLE")
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux: /proc and udev")


def by_name(findings: tuple[Finding, ...]) -> dict[str, Finding]:
    return {f.name: f for f in findings}


def program(folder: Path, name: str, says: str = "") -> None:
    path = folder / name
    path.write_text(f'#!/bin/sh\necho "{says}"\n')
    path.chmod(0o755)


def test_nothing_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    found = by_name(examine())
    assert {f.name for f in found.values() if f.state == "missing"} == {"arm-none-eabi-gcc", "gcc", "make"}
    for name in ("arduino-cli", "renode", "qemu-system-arm", "pyocd", "bossac"):
        assert found[name].state == "absent" and found[name].remedy == toolchain.INSTALL[name]
    assert all(f.remedy and "\n" not in f.remedy for f in found.values() if f.state != "ok")
    assert not any(f.remedy for f in found.values() if f.state == "ok")


def test_a_compiler_without_its_library(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(tmp_path, "arm-none-eabi-gcc", "libc.a")  # so gcc says that it has none
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    newlib = by_name(examine())["newlib"]
    assert newlib.state == "missing" and "libnewlib-arm-none-eabi" in newlib.remedy


def test_a_compiler_that_does_not_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "arm-none-eabi-gcc"
    path.write_text("#!/bin/sh\nexit 1\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert by_name(examine())["newlib"].state == "problem"


def test_arduinos_bossac_before_the_one_on_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(tmp_path, "bossac")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert toolchain.bossac() == str(tmp_path / "bossac")
    own = tmp_path / ".arduino15/packages/arduino/tools/bossac/1.9.1-arduino2"
    own.mkdir(parents=True)
    program(own, "bossac")
    assert toolchain.bossac() == str(own / "bossac")
    assert by_name(examine())["bossac"].state == "ok"


def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_PACKAGES", (("no_such_package", "", "pip install it"), ("json", "", "")))
    found = by_name(examine())
    assert found["no_such_package"].state == "missing" and found["no_such_package"].remedy == "pip install it"
    assert found["json"].state == "ok"


# ---- ports ------------------------------------------------------------------------------------------------


def test_ports_by_name(tmp_path: Path) -> None:
    stranger = UsbPort("/dev/null", 0x0403, 0x6001, product="FT232R")
    built_in = UsbPort("/dev/ttyS0")
    nano, other = ports.findings(lambda: (NANO, stranger, built_in), tmp_path)
    assert nano[1] == "ok" and "Arduino Nano 33 BLE" in nano[2] and "application (2341:805a)" in nano[2]
    assert other[1] == "ok" and other[2] == "FT232R (0403:6001)"


def test_no_port(tmp_path: Path) -> None:
    ((_, state, _, remedy),) = ports.findings(tuple, tmp_path)
    assert state == "absent" and "data lines" in remedy


@linux
@pytest.mark.parametrize(
    ("group", "members", "says"),
    [
        ("dialout", [], "sudo usermod -aG dialout $USER"),
        ("dialout", ["ann"], "log out and in again"),
        ("root", [], "60-mcu-asc.rules"),
    ],
)
def test_a_port_that_may_not_be_opened(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, group: str, members: list[str], says: str
) -> None:
    import grp

    monkeypatch.setenv("USER", "ann")
    monkeypatch.setattr(os, "access", lambda *_: False)
    monkeypatch.setattr(grp, "getgrgid", lambda _: grp.struct_group((group, "x", 20, members)))
    ((device, state, detail, remedy),) = ports.findings(lambda: (NANO,), tmp_path)
    assert (device, state) == ("/dev/null", "problem")
    assert "may not open" in detail and says in remedy


@linux
def test_modem_manager(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    proc, rules = tmp_path / "proc", tmp_path / "rules.d"
    (proc / "17").mkdir(parents=True)
    rules.mkdir()
    monkeypatch.setattr(ports, "_RULES", rules)
    (proc / "17/comm").write_text("bash\n")
    assert len(ports.findings(lambda: (NANO,), proc)) == 1
    (proc / "17/comm").write_text("ModemManager\n")
    _, (name, state, _, remedy) = ports.findings(lambda: (NANO,), proc)
    assert (name, state) == ("ModemManager", "problem")
    rule = remedy.split("'")[1]
    assert 'ATTRS{idVendor}=="2341"' in rule and 'ENV{ID_MM_DEVICE_IGNORE}="1"' in rule
    (rules / "60-mcu-asc.rules").write_text(rule)  # the remedy mends it
    assert ports.findings(lambda: (NANO,), proc)[1][1] == "ok"


# ---- the verb ---------------------------------------------------------------------------------------


def test_the_verb(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def run(*args: str) -> tuple[object, str, str]:
        with pytest.raises(SystemExit) as end:
            main(["doctor", *args])
        return (end.value.code, *capsys.readouterr())

    monkeypatch.setattr(ports, "serial_ports", lambda: (NANO,))
    code, out, _ = run("--json")
    assert code == 0
    findings = json.loads(out)["findings"]
    assert all(set(f) == {"name", "state", "detail", "remedy"} for f in findings)
    assert any(f["name"] == "/dev/null" for f in findings)
    monkeypatch.setenv("PATH", str(tmp_path))
    code, out, err = run()
    assert code == 4 and "missing arm-none-eabi-gcc" in out and "-> sudo apt-get install" in out
    assert err.startswith("error: missing: arm-none-eabi-gcc, gcc, make") and err.count("\n") == 1
