from __future__ import annotations

import socket
from typing import Any

import pytest

from livedebug_sender import ConfigError, Endpoint, Sender, SenderConfig, generate_tags
from livedebug_sender.protocol.tags import cut_tags, quote_tags


def test_generated_tags_have_their_order_and_are_not_encoded() -> None:
    tags = generate_tags("1.2", "prod", "3", "r-1", ["team:a b", "x:ü&#%+"])
    assert tags == (
        f"debugger_version:1.2,env:prod,version:3,runtime_id:r-1,host_name:{socket.gethostname()},"
        "team:a b,x:ü&#%+"
    )


@pytest.mark.parametrize("custom", ["team:a", b"team:a", ["a\nb"], ["a\rb"], ["a\tb"], [3]])
def test_custom_tags_are_strings_of_one_line(custom: Any) -> None:
    with pytest.raises(ConfigError):
        generate_tags("1", "e", "v", "r", custom)


@pytest.mark.parametrize(
    "tags",
    [
        "a\r\nX: y",
        "a\nb",
        "a\rb",
        "a\0b",
        "a\tb",
        "a\x1bb",
        "a\x7fb",
        "a\x85b",
        "\x0b",
        "\ud800",
        None,
        b"a",
        3,
    ],
)
def test_a_sender_refuses_tags_that_could_not_travel(tags: Any) -> None:
    config = SenderConfig()
    config.set_endpoint(Endpoint("http://h"))
    with pytest.raises(ConfigError, match="tags"):
        Sender(config, tags=tags)


def test_tags_are_encoded_but_for_the_unreserved() -> None:
    assert quote_tags("a-_.~/Z9 &#%+,:=?ü") == "a-_.~/Z9%20%26%23%25%2B%2C%3A%3D%3F%C3%BC"


def test_long_tags_are_cut_at_the_last_whole_tag_that_fits() -> None:
    exact = "a" * 2000 + "," + "b" * 2000
    assert len(exact) == 4001
    assert cut_tags(exact) == exact
    assert cut_tags(exact + ",c") == exact
    assert cut_tags(exact + "c") == "a" * 2000
    assert cut_tags("a" * 4002) == ""
