"""The Python SDK, version 1: python_mcp1.py http URL, or python_mcp1.py stdio COMMAND ARGUMENT..."""

import asyncio
import os
import sys

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client

from report import CALLS, print_report


async def talk(read, write) -> None:
    async with ClientSession(read, write) as session:
        hello = await session.initialize()
        tools = (await session.list_tools()).tools
        results = {name: await session.call_tool(name, arguments) for name, arguments in CALLS}
        print_report(str(hello.protocolVersion), [tool.name for tool in tools], results)


async def main(transport: str, arguments: list) -> None:
    if transport == "stdio":
        server = StdioServerParameters(
            command=arguments[0], args=arguments[1:], env=dict(os.environ)
        )
        async with stdio_client(server) as (read, write):
            await talk(read, write)
    else:
        async with streamablehttp_client(arguments[0]) as (read, write, _session_id):
            await talk(read, write)


asyncio.run(main(sys.argv[1], sys.argv[2:]))
