"""The Python SDK, version 2, from the first 401 to a tool call: oauth.py URL

The SDK finds everything out by itself; this script is only the browser of alice, who is let in without being
asked, and writes down what was asked of whom. No code or token gets into the report.
"""

import asyncio
import json
import sys
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientMetadata

# Nobody listens there: the browser stops when it is sent there.
CALLBACK = "http://127.0.0.1:7/callback"

transcript = []


async def record(response) -> None:
    asked = response.request
    line = f"{asked.method} {asked.url.copy_with(query=None)} {response.status_code}"
    challenge = response.headers.get("www-authenticate")
    transcript.append(f"{line} {challenge}" if challenge else line)


class Storage:
    tokens = None
    client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens) -> None:
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client) -> None:
        self.client = client


class Browser:
    """Follows redirects with cookies until the callback."""

    def __init__(self) -> None:
        self.asked = {}
        self.reached = {}

    async def open(self, url: str) -> None:
        self.asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        async with httpx2.AsyncClient(event_hooks={"response": [record]}) as http:
            while not url.startswith(CALLBACK):
                response = await http.get(url)
                url = str(httpx2.URL(url).join(response.headers["location"]))
        self.reached = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}

    async def result(self) -> AuthorizationCodeResult:
        names = ("code", "state", "iss")
        return AuthorizationCodeResult(**{name: self.reached.get(name) for name in names})


async def main(url: str) -> None:
    storage, browser = Storage(), Browser()
    metadata = OAuthClientMetadata(
        client_name="e2e",
        redirect_uris=[CALLBACK],
        application_type="native",
        token_endpoint_auth_method="none",
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
    )
    auth = OAuthClientProvider(url, metadata, storage, browser.open, browser.result)
    hooks = {"response": [record]}
    async with httpx2.AsyncClient(auth=auth, event_hooks=hooks, timeout=30) as http:
        async with Client(streamable_http_client(url, http_client=http)) as client:
            tools = (await client.list_tools()).tools
            result = await client.call_tool("prometheus_query", {"query": "1"})
    asked = {name: value for name, value in browser.asked.items() if name not in ("code_challenge", "state")}
    report = {
        "transcript": transcript,
        "asked": asked,
        "scope": storage.tokens.scope,
        "tools": [tool.name for tool in tools],
        "error": result.is_error,
    }
    print("REPORT", json.dumps(report))


asyncio.run(main(sys.argv[1]))
