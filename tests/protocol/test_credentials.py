"""One rule for the forwarder, which stores no credential, and the intake, which shows none."""

from __future__ import annotations

import pytest

from livedebug_sender.protocol.credentials import is_credential, is_credential_field


@pytest.mark.parametrize(
    "name",
    [
        "Authorization",
        "Proxy-Authorization",
        "Cookie",
        "Set-Cookie",
        "DD-API-KEY",
        "dd-application-key",
    ]
    + ["X-Vault-Token", "X-Access-Token", "X-Client-Secret", "X-Own-Apikey", "X-Own-Api-Key"]
    + ["X-Password", "Cf-Access-Jwt-Assertion", "X-Goog-Iap-Jwt-Assertion", "X-Authorization"]
    + ["X-Forwarded-Authorization", "X-Auth", "X-Auth-Key", "X-Access-Key", "X-Private-Key"]
    + ["X-Passwd", "X-Amz-Signature", "X-Session-Id", "X-Amzn-Oidc-Data", "Authentication"]
    + ["X-Credentials"],
)
def test_a_header_that_is_or_sounds_like_a_credential_is_one(name: str) -> None:
    assert is_credential(name)
    assert is_credential(name.upper())


@pytest.mark.parametrize(
    "name",
    ["Content-Type", "X-Tokens", "X-Datadog-Test-Session-Token", "Datadog-Container-ID"]
    + ["DD-Session-ID", "X-Author", "Authority", "X-Forwarded-For", "Sec-Fetch-Site", "Accept"]
    + ["DD-REQUEST-ID", "DD-EVP-ORIGIN", "X-Datadog-Additional-Tags", "User-Agent", ""],
)
def test_a_header_that_opens_nothing_is_none(name: str) -> None:
    assert not is_credential(name)


@pytest.mark.parametrize(
    "name", ["application_key", "DD-Application-Key", "app_key", "apikey", "dd_api_key"]
    + ["token", "access_token", "client_secret", "Password"]
)  # fmt: skip
def test_a_field_of_a_query_that_names_a_credential_is_one(name: str) -> None:
    assert is_credential_field(name)


@pytest.mark.parametrize("name", ["ddtags", "tokens", "keys", "key", ""])
def test_another_field_of_a_query_is_none(name: str) -> None:
    assert not is_credential_field(name)
