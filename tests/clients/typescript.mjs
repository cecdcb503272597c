// The TypeScript SDK: typescript.mjs URL auto|legacy

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// The packages do not stand beside this file, so that npm writes nothing into the sources.
const require = createRequire(pathToFileURL(`${process.env.NODE_PACKAGES}/`));
const { Client, StreamableHTTPClientTransport } = require("@modelcontextprotocol/client");

const [url, mode] = process.argv.slice(2);
const calls = [
  ["prometheus_query", { query: "sum(up)" }],
  ["prometheus_range_query", { query: "up", start: "now-2m", end: "now", step: "30s" }],
  ["prometheus_list_metrics", { query: "prometheus_*", limit: 5 }],
];

const options = mode === "auto" ? { versionNegotiation: { mode } } : {};
const client = new Client({ name: "e2e", version: "1" }, options);
await client.connect(new StreamableHTTPClientTransport(new URL(url)));
const { tools } = await client.listTools();
const report = { version: "", tools: tools.map((tool) => tool.name), calls: {} };
report.version = client.getNegotiatedProtocolVersion?.() ?? client.protocolVersion ?? "";
for (const [name, args] of calls) {
  const result = await client.callTool({ name, arguments: args });
  report.calls[name] = { structured: result.structuredContent, error: result.isError ?? false };
}
await client.close();
console.log("REPORT", JSON.stringify(report));
