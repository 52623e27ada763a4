"""Traces in each of their forms, and what is said of a file that is none."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emulator.errors import ConfigurationError
from emulator.simulation import workload as workloads
from emulator.simulation.trace import read_trace
from emulator.simulation.workload import Workload

Write = Callable[[str], Path]

MINUTES = ",".join(str(number) for number in range(1, 1441))
AZURE = f"HashOwner,HashApp,HashFunction,Trigger,{MINUTES}\n"
APP, ORDERS, BILLS = "a" * 64, "b" * 64, "c" * 64


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a trace, and answers where."""

    def write(content: str) -> Path:
        path = tmp_path / "trace"
        path.write_bytes(content.encode())
        return path

    return write


def read(path: Path, **options: object) -> Workload:
    return read_trace(path, Random(1), **options)  # type: ignore[arg-type]


def events(workload: Workload) -> list[tuple[float, str, float]]:
    return [(at, workload.functions[which], duration) for at, which, duration in workload]


def azure_row(function: str, counts: dict[int, int]) -> str:
    """A row of the published form; minutes count from 1."""
    cells = ",".join(str(counts.get(minute, 0)) for minute in range(1, 1441))
    return f"owner,{APP},{function},http,{cells}\n"


def test_csv_with_seconds(write: Write) -> None:
    """Columns in any order, events in any order; the first moment is the beginning."""
    found = read(write("function,timestamp,duration_ms\r\nbills,12.5,\r\n\r\norders, 10 ,250\r\norders,11,0.5\r\n"))
    assert [entry[:2] for entry in events(found)] == [(0.0, "orders"), (1.0, "orders"), (2.5, "bills")]
    assert list(found.durations)[:2] == [0.25, 0.0005]
    assert math.isnan(found.durations[2])
    assert not found.says_durations
    assert found.span == 2.5


def test_csv_with_dates(write: Write) -> None:
    """With and without a zone, which is UTC then; a mark of order bytes at the beginning does no harm."""
    found = read(
        write(
            "\ufeffTimestamp,Function\n2026-07-01T08:54:54.5Z,orders\n2026-07-01T10:54:55+02:00,orders\n"
            "2026-07-01 08:55:00,orders\n"
        )
    )
    assert list(found.at) == [0.0, 0.5, 5.5]


def test_json_lines(write: Write) -> None:
    """The same names; what else an object has does not matter."""
    found = read(
        write(
            '{"timestamp": 5, "function": "orders", "duration_ms": 20, "x": []}\n'
            '\n{"timestamp": "6.5", "function": "b"}\n'
        )
    )
    assert events(found)[0] == (0.0, "orders", 0.02)
    assert events(found)[1][:2] == (1.5, "b")


def test_counts_a_minute(write: Write) -> None:
    """So many events within each minute, in order; a whole day is watched; names are made of both hashes."""
    path = write(AZURE + azure_row(ORDERS, {1: 3, 1440: 2}) + azure_row(BILLS, {2: 1}))
    found = read(path)
    assert found.functions == ("aaaaaaaaaaaa-bbbbbbbbbbbb", "aaaaaaaaaaaa-cccccccccccc")
    assert [int(at // 60) for at in found.at] == [0, 0, 0, 1, 1439, 1439]
    assert list(found.at) == sorted(found.at)
    assert found.span == 86_400
    assert found.at == read(path).at


def test_functions_can_be_chosen(write: Write) -> None:
    """By their name, or by the hash that the Azure trace has for them; and the beginning of time too."""
    path = write(AZURE + azure_row(ORDERS, {1: 3, 3: 1}) + azure_row(BILLS, {2: 1}))
    for name in (ORDERS, "aaaaaaaaaaaa-bbbbbbbbbbbb"):
        assert len(read(path, functions=[name])) == 4
    cut = read(path, until=90)
    assert (len(cut), cut.span) == (len([at for at in read(path).at if at < 90]), 90)
    path = write("timestamp,function\n100,orders\n150,bills\n200,orders\n")
    assert list(read(path, functions=["orders"]).at) == [0.0, 100.0]
    assert list(read(path, until=100).at) == [0.0, 50.0]


@pytest.mark.parametrize(
    ("content", "complaint", "cure"),
    [
        ("", " is empty", "timestamp,function,duration_ms"),
        ("\n\n", " is empty", "timestamp,function,duration_ms"),
        ("timestamp,function\n", ": there is no event", "with events in it"),
        ("time,function\n1,orders\n", ", line 1: the heading has no column timestamp", "timestamp,function"),
        ("timestamp,function\n1\n", ", line 2: there are 1 values", "The heading has 2"),
        (
            "timestamp,function\n1,orders\nsoon,orders\n",
            ", line 3: timestamp is 'soon'",
            "number of seconds, or a date",
        ),
        ("timestamp,function\nnan,orders\n", ", line 2: timestamp is 'nan'", "number of seconds"),
        ("timestamp,function\n\n1,\n", ", line 3: function is ''", "name of a function"),
        ("timestamp,function\n1,a b\n", ", line 2: 'a b' is not a function name", "letters, digits"),
        (
            "timestamp,function\n1,a\n2026-07-01,a\n",
            ", line 3: timestamp is '2026-07-01', and the first",
            "all as dates",
        ),
        ("timestamp,function,duration_ms\n1,a,-5\n", ", line 2: duration_ms is '-5'", "milliseconds"),
        ("timestamp,function,duration_ms\n1,a,long\n", ", line 2: duration_ms is 'long'", "milliseconds"),
        ('timestamp,function\n1,"orders\n', ", line 2: it is not CSV", "commas"),
        ("{\n", ", line 1: it is not JSON", "one JSON object"),
        ('{"timestamp": 1, "function": "a"}\n[1]\n', ", line 2: it is no JSON object", "timestamp"),
        ('{"timestamp": true, "function": "a"}\n', ", line 1: timestamp is True", "number of seconds"),
        ('{"function": "a"}\n', ", line 1: timestamp is None", "number of seconds"),
        ('{"timestamp": 1, "function": 7}\n', ", line 1: function is 7", "name of a function"),
        ("HashOwner,HashApp\n", ", line 1: it begins as the Azure", "1,2,...,1440"),
        ("HashOwner,HashApp,HashFunction,Trigger,1,3\n", ", line 1: it begins as the Azure", "1,2,...,1440"),
        ("HashOwner,HashApp,HashFunction,Trigger,1,2\no,a,f,t,1\n", ", line 2: there are 5 values", "has 6"),
        (
            "HashOwner,HashApp,HashFunction,Trigger,1,2\no,a,f,t,1,-2\n",
            ", line 2: the count of minute 2 is '-2'",
            "whole",
        ),
    ],
)
def test_a_file_that_is_none_is_refused_with_the_line_and_the_cure(
    write: Write, content: str, complaint: str, cure: str
) -> None:
    """A reader can mend the file from the message alone."""
    path = write(content)
    with pytest.raises(ConfigurationError) as caught:
        read(path)
    assert caught.value.message.startswith(f"{path}{complaint}")
    assert cure in caught.value.cure


def test_a_function_that_never_occurs_is_told_with_those_that_do(write: Write) -> None:
    """Also where nothing is left of the trace without it."""
    path = write("timestamp,function\n1,orders\n2,bills\n")
    with pytest.raises(ConfigurationError, match="has no event of order") as caught:
        read(path, functions=["orders", "order"])
    assert caught.value.cure == "It has bills, orders."
    with pytest.raises(ConfigurationError, match="has no event of other"):
        read(path, functions=["other"])


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """It is not there, it is a folder, it is packed."""
    packed = tmp_path / "trace.gz"
    packed.write_bytes(b"\x1f\x8b\x08\x00\xff\xfe")
    for path, complaint in (
        (tmp_path / "none", "No such file"),
        (tmp_path, "Is a directory"),
        (packed, "no text in UTF-8"),
    ):
        with pytest.raises(ConfigurationError, match=complaint) as caught:
            read(path)
        assert caught.value.cure


def test_too_many_events_are_refused(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before they take all memory, with what makes them less."""
    monkeypatch.setattr(workloads, "MOST_EVENTS", 1000)
    path = write(AZURE + azure_row(ORDERS, {1: 10**15}))
    with pytest.raises(ConfigurationError, match="more than 1,000 events") as caught:
        read(path)
    assert "--function" in caught.value.cure


@given(
    written=st.lists(
        st.tuples(st.floats(0, 1e9), st.sampled_from(["a", "b", "c"]), st.floats(0, 1e6)), min_size=1, max_size=30
    )
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, written: list[tuple[float, str, float]]
) -> None:
    """No event is lost or added, whatever their order; CSV and JSON lines say the same."""
    folder = tmp_path_factory.mktemp("traces")
    csv, lines = folder / "csv", folder / "jsonl"
    csv.write_text("timestamp,function,duration_ms\n" + "".join(f"{at!r},{name},{ms!r}\n" for at, name, ms in written))
    lines.write_text(
        "".join(f'{{"timestamp": {at!r}, "function": "{name}", "duration_ms": {ms!r}}}\n' for at, name, ms in written)
    )
    begin = min(at for at, _, _ in written)
    expected = sorted((at - begin, name, ms / 1000) for at, name, ms in written)
    assert sorted(events(read(csv))) == expected
    assert events(read(lines)) == events(read(csv))
    assert list(read(csv).at) == sorted(at - begin for at, _, _ in written)
