"""The Python SDK, version 2: python_mcp2.py URL auto|legacy|2026-07-28"""

import asyncio
import sys

from mcp import Client

from report import CALLS, print_report


async def main(url: str, mode: str) -> None:
    async with Client(url, mode=mode) as client:
        tools = (await client.list_tools()).tools
        results = {name: await client.call_tool(name, arguments) for name, arguments in CALLS}
        print_report(str(client.protocol_version), [tool.name for tool in tools], results)


asyncio.run(main(sys.argv[1], sys.argv[2]))
