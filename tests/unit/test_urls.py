"""Function URLs: their settings, their names, and which there are."""

from __future__ import annotations

import re
from typing import Any

import pytest

from emulator.errors import ConfigurationError
from emulator.urls import Cors, UrlConfig, Urls, UrlSettings, make_url_id


def test_a_name_is_the_same_after_a_restart_and_another_for_every_function() -> None:
    """32 lower-case letters and digits, of account, function and qualifier."""
    first = make_url_id("123456789012", "orders")
    assert first == make_url_id("123456789012", "orders") == "mzyi5lnokugm22ee54536emy5wkffsq5"
    assert re.fullmatch(r"[a-z0-9]{32}", first)
    others = {
        make_url_id("123456789012", "orders", "live"),
        make_url_id("123456789012", "ordersl", "ive"),
        make_url_id("123456789013", "orders"),
    }
    assert len(others | {first}) == 4


def test_what_there_is() -> None:
    """By name of the URL, by function, by function and alias; another one of the same name replaces."""
    urls = Urls(port=4000)
    plain, live = UrlConfig("a", "orders"), UrlConfig("b", "orders", "live")
    for config in (plain, live, UrlConfig("c", "shop")):
        urls.add(config)
    assert urls.of("orders") == [plain, live]
    assert (urls.find("orders"), urls.find("orders", "live"), urls.find("shop", "live")) == (plain, live, None)
    urls.add(plain.with_settings(UrlSettings(auth="AWS_IAM"), 7.0))
    found = urls.by_id("a")
    assert found is not None
    assert (found.auth, found.modified_at, len(list(urls))) == ("AWS_IAM", 7.0, 3)
    urls.remove("a")
    urls.remove("a")
    assert urls.by_id("a") is None


def test_addresses() -> None:
    """By a name of its own, and by path for those who cannot find it."""
    urls, live = Urls(port=4000), UrlConfig("b", "orders", "live")
    assert urls.address(live) == "http://b.lambda-url.localhost:4000/"
    assert urls.path_address(live) == "http://127.0.0.1:4000/_url/orders:live/"


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        (None, None),
        (False, None),
        (True, UrlSettings()),
        ({}, UrlSettings()),
        (UrlSettings(auth="AWS_IAM"), UrlSettings(auth="AWS_IAM")),
        ({"cors": {"allow_origins": ["*"], "max_age": 5}}, UrlSettings(cors=Cors(allow_origins=("*",), max_age=5))),
    ],
)
def test_what_settings_are_made_of(given: Any, settings: UrlSettings | None) -> None:
    """Lists become tuples, so that settings can be compared."""
    assert UrlSettings.of(given) == settings


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ("yes", "url is 'yes'"),
        ({"auth": "BASIC"}, "url auth is 'BASIC'"),
        ({"invoke_mode": "FAST"}, "url invoke_mode"),
        ({"path": "/"}, "url has no path"),
        ({"cors": {"origins": []}}, "url cors has no origins"),
        ({"cors": {"max_age": 86_401}}, "max_age"),
    ],
)
def test_settings_that_cannot_be(given: Any, complaint: str) -> None:
    """Each with a cure."""
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        UrlSettings.of(given)
    assert caught.value.cure
