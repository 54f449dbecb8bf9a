"""Where brokers and servers are, read from what people write."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgekit.addresses import BrokerAddress, Endpoint, parse_broker, parse_endpoint
from edgekit.errors import InputError


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:8420", "127.0.0.1", 8420), ("[::1]:0", "::1", 0), ("edge.example:65535", "edge.example", 65535)],
)
def test_an_endpoint_is_read_and_written_the_same(text: str, host: str, port: int) -> None:
    """A host and port come back as they were written, an IPv6 address in its brackets."""
    found = parse_endpoint(text, "--http")
    assert (found.host, found.port, str(found)) == (host, port, text)


@pytest.mark.parametrize("text", ["", "8420", ":8420", "host", "host:", "host:65536", "host:-1", "::1:80", "ho st:1", "host:1\n", "http://host:1"])
def test_what_is_no_endpoint_is_refused_by_the_option_it_came_with(text: str) -> None:
    """The refusal names the option, and how it is written."""
    with pytest.raises(InputError, match=r"--http .* is no host and port.*127\.0\.0\.1:8420"):
        parse_endpoint(text, "--http")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mqtt://10.0.0.7", BrokerAddress(host="10.0.0.7")),
        ("mqtt://broker.example:1884/", BrokerAddress(host="broker.example", port=1884)),
        ("mqtts://broker.example", BrokerAddress(host="broker.example", port=8883, tls=True)),
        ("mqtt://me:p%40ss@[::1]:1883", BrokerAddress(host="::1", user="me", password="p@ss")),
    ],
)
def test_a_broker_is_read_with_the_ports_of_its_scheme(text: str, expected: BrokerAddress) -> None:
    """Host, port, user and password are taken apart, and what is left out has MQTT's registered port."""
    assert parse_broker(text, "--broker") == expected


@pytest.mark.parametrize(
    "text", ["", "host:1883", "http://host", "mqtt://", "mqtt://host:0", "mqtt://host:99999", "mqtt://host/topic", "mqtt://a b", "mqtt://[::1"]
)
def test_what_is_no_broker_is_refused(text: str) -> None:
    """Whatever no broker can be reached by is an InputError of the option."""
    with pytest.raises(InputError, match="--broker"):
        parse_broker(text, "--broker")


def test_a_password_is_never_shown() -> None:
    """Neither the address as text nor a refusal of it has the password."""
    assert "secret" not in str(parse_broker("mqtt://me:secret@host", "--broker"))
    with pytest.raises(InputError) as refused:
        parse_broker("mqtt://me:secret@host/topic", "--broker")
    assert "secret" not in str(refused.value)


@given(st.text(max_size=60))
def test_no_text_does_anything_but_parse_or_refuse(text: str) -> None:
    """Any text is an address or an InputError."""
    for parse in (parse_endpoint, parse_broker):
        try:
            assert isinstance(parse(text, "option"), Endpoint | BrokerAddress)
        except InputError:
            continue
