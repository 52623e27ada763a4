"""Which versions of a driver and its company were measured, as the sample's lock file says."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

from tests.drivers.drivers import SAMPLES, Driver

__all__ = ["version_of"]

_WANTED = re.compile(
    r"go-sql-driver/mysql|gorm\.io/(?:gorm|driver/mysql)$|mysql2$|serverless-mysql|HikariCP|mysql-connector-j|"
    r"mariadb-java-client|^sqlx$|(?i:^pymysql$|^sqlalchemy$)"
)


def version_of(driver: Driver) -> str:
    """``name version`` of all that matters, joined by commas, where a sample locks any."""
    found = [pair for pair in _locked(SAMPLES / driver.sample) if _WANTED.search(pair[0])]
    return ", ".join(f"{name} {version}" for name, version in sorted(set(found))) or "as installed"


def _locked(folder: Path) -> list[tuple[str, str]]:
    if (path := folder / "go.mod").exists():
        return re.findall(r"^\s*(?:require )?(\S+\.\S+) v(\S+)", path.read_text(), re.MULTILINE)
    if (path := folder / "Cargo.lock").exists():
        return [(one["name"], one["version"]) for one in tomllib.loads(path.read_text())["package"]]
    if (path := folder / "package-lock.json").exists():
        packages = json.loads(path.read_text())["packages"]
        return [(name.removeprefix("node_modules/"), one["version"]) for name, one in packages.items() if name]
    if (path := folder / "pom.xml").exists():
        text = path.read_text()
        return re.findall(r"<artifactId>([^<]+)</artifactId>\s*<version>([^<]+)</version>", text)
    if (path := folder / "requirements.txt").exists():
        return re.findall(r"^([\w.-]+)==([\w.]+)", path.read_text(), re.MULTILINE)
    return []
