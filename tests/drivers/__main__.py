"""Writes docs/drivers.md from real runs; with samples named it shows what it would write of these."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from emulator import Emulator
from emulator.errors import EmulatorError
from tests.drivers.drivers import DRIVERS, Driver
from tests.drivers.page import Findings, page
from tests.drivers.trial import TROUBLES, Finding, TrialError, run_trial
from tests.drivers.versions import version_of

_PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "drivers.md"
_SETTINGS = {"emulator": {"sandbox": "process"}, "database": {"server": "local"}}


def main(arguments: Sequence[str]) -> int:
    """Run the command; answers its exit status."""
    parser = argparse.ArgumentParser(prog="./dev drivers", description=__doc__)
    parser.add_argument("sample", nargs="*", choices=[[], *(driver.sample for driver in DRIVERS)])
    chosen = parser.parse_args(arguments).sample
    drivers = [driver for driver in DRIVERS if not chosen or driver.sample in chosen]
    if missing := [driver.sample for driver in drivers if not driver.code.is_dir()]:
        print(f"error: {', '.join(missing)}: not built. Run ./dev build-samples.", file=sys.stderr)
        return 1
    findings, server = _all_of(drivers)
    written = page(drivers, TROUBLES, findings, server, {driver.sample: version_of(driver) for driver in drivers})
    if chosen:
        print(written)
    else:
        _PAGE.write_text(written, encoding="utf-8")
        print(f"written to docs/{_PAGE.name}")
    return 0


def _all_of(drivers: Sequence[Driver]) -> tuple[Findings, str]:
    findings: dict[tuple[str, str, str], Finding | str] = {}
    server = ""
    total = sum(len(driver.ways) for driver in drivers) * len(TROUBLES)
    with Progress(console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=total)
        for driver in drivers:
            with Emulator(_SETTINGS) as emulator:
                server = _named(emulator.status().database_version or "")
                for key, finding in _of_one(emulator, driver):
                    findings[key] = finding
                    progress.update(bar, advance=1, description=driver.sample)
    return findings, server


def _named(version: str) -> str:
    """``10.11.19-MariaDB-0+deb12u1`` and ``8.0.36`` for people."""
    return f"{'MariaDB' if 'MariaDB' in version else 'MySQL'} {version.partition('-')[0]}"


def _of_one(emulator: Emulator, driver: Driver) -> Iterator[tuple[tuple[str, str, str], Finding | str]]:
    for way in driver.ways:
        for trouble in TROUBLES:
            try:
                found: Finding | str = run_trial(emulator, driver, way, trouble)
            except (EmulatorError, TrialError) as error:
                found = f"not run: {error}"
            emulator.kill_zombies()
            yield (driver.sample, way, trouble.name), found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
