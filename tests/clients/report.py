"""What every Python client does, and how it tells what it got."""

import json

CALLS = [
    ("prometheus_query", {"query": "sum(up)"}),
    ("prometheus_range_query", {"query": "up", "start": "now-2m", "end": "now", "step": "30s"}),
    ("prometheus_list_metrics", {"query": "prometheus_*", "limit": 5}),
]


def print_report(version: str, tools: list, results: dict) -> None:
    def content(result):
        dumped = result.model_dump(mode="json", by_alias=True)
        return {"structured": dumped["structuredContent"], "error": dumped["isError"]}

    calls = {name: content(result) for name, result in results.items()}
    print("REPORT", json.dumps({"version": version, "tools": tools, "calls": calls}))
