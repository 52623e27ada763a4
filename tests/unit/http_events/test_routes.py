"""Which route serves which path."""

from __future__ import annotations

import itertools

import pytest

from emulator.errors import ConfigurationError
from emulator.http_events.routes import HttpRoute, Routes


def route(key: str, version: str = "2.0") -> HttpRoute:
    method, _, path = key.rpartition(" ")
    return HttpRoute(method=method or "ANY", path=path, function="orders", version=version)


def routes(*keys: str) -> Routes:
    found = Routes()
    for key in keys:
        found.add(route(key))
    return found


def served(found: Routes, method: str, path: str) -> str | None:
    answer = found.find(method, path)
    return answer[0].key if answer is not None else None


@pytest.mark.parametrize(
    ("template", "path", "parameters"),
    [
        ("/", "/", {}),
        ("/orders", "/orders", {}),
        ("/orders/{id}", "/orders/7", {"id": "7"}),
        ("/orders/{id}", "/orders/a%2Fb", {"id": "a/b"}),
        ("/{a}/x/{b}", "/1/x/2", {"a": "1", "b": "2"}),
        ("/{proxy+}", "/a/b%20c", {"proxy": "a/b c"}),
        ("/files/{path+}", "/files/a", {"path": "a"}),
        ("/grüße", "/gr%C3%BC%C3%9Fe", {}),
        ("/orders", "/orders/", None),
        ("/orders", "/orders/7", None),
        ("/orders/{id}", "/orders", None),
        ("/orders/{id}", "/orders/", None),
        ("/orders/{id}", "/orders/7/x", None),
        ("/{proxy+}", "/", None),
        ("/files/{path+}", "/files", None),
        ("$default", "/any/thing", {}),
    ],
)
def test_templates(template: str, path: str, parameters: dict[str, str] | None) -> None:
    """Static parts, parameters, and what takes the rest; never an empty parameter."""
    assert route(template).match(path) == parameters


def test_a_rest_api_does_not_mind_the_last_slash() -> None:
    """An HTTP API does."""
    assert route("/orders", "1.0").match("/orders/") == {}
    assert route("/", "1.0").match("/") == {}


RANKED = ["GET /pets/dog/1", "GET /pets/dog/{id}", "GET /pets/{proxy+}", "ANY /{proxy+}", "$default"]


def test_the_one_that_names_most_of_the_path_serves() -> None:
    """AWS's own example, in whatever order the routes were made."""
    for order in itertools.permutations(RANKED):
        found = routes(*order)
        assert served(found, "GET", "/pets/dog/1") == RANKED[0]
        assert served(found, "GET", "/pets/dog/2") == RANKED[1]
        assert served(found, "GET", "/pets/cat/1") == RANKED[2]
        assert served(found, "POST", "/pets/dog/1") == RANKED[3]
        assert served(found, "DELETE", "/") == RANKED[4]


def test_a_named_method_goes_before_any() -> None:
    """On the same path."""
    found = routes("ANY /a", "GET /a")
    assert [served(found, method, "/a") for method in ("GET", "PUT")] == ["GET /a", "ANY /a"]


@pytest.mark.parametrize("path", ["/_emulator/", "/_emulator", "/_url/x/", "/2015-03-31/functions/x/invocations"])
def test_what_is_the_emulators_stays_its_own(path: str) -> None:
    """Whatever a route says."""
    assert served(routes("$default", "/{proxy+}"), "GET", path) is None


def test_the_same_key_replaces_and_what_is_removed_serves_no_more() -> None:
    """So that a template can be read again."""
    found = routes("GET /a", "GET /a")
    (only,) = found
    assert len(found) == 1
    found.remove(only)
    found.remove(only)
    assert (len(found), served(found, "GET", "/a")) == (0, None)


@pytest.mark.parametrize(
    ("key", "complaint"),
    [
        ("FETCH /a", "no such method"),
        ("GET a", "cannot be served"),
        ("GET /_emulator/x", "cannot be served"),
        ("GET /2015-03-31/functions", "cannot be served"),
        ("GET /{a", "no part of a path"),
        ("GET /x{a}", "no part of a path"),
        ("GET /{a+}/b", "not at the end"),
    ],
)
def test_routes_that_cannot_be(key: str, complaint: str) -> None:
    """Each with a cure."""
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        route(key)
    assert caught.value.cure
    with pytest.raises(ConfigurationError, match="version"):
        route("GET /a", "3.0")


def test_methods_in_lower_case_will_do() -> None:
    """Templates write them so."""
    assert HttpRoute(method="get", path="/a", function="orders").key == "GET /a"
