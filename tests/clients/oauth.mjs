// The TypeScript SDK from the first 401 to a tool call: oauth.mjs URL
//
// The SDK finds everything out by itself; this script is only the browser of alice, who is let in without being
// asked, and writes down what was asked of whom. No code or token gets into the report.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const require = createRequire(pathToFileURL(`${process.env.NODE_PACKAGES}/`));
const sdk = require("@modelcontextprotocol/client");
const { Client, StreamableHTTPClientTransport, UnauthorizedError } = sdk;

const server = new URL(process.argv[2]);
// Nobody listens there: the browser stops when it is sent there.
const CALLBACK = "http://127.0.0.1:7/callback";

const transcript = [];
async function recorded(target, init = {}) {
  const url = new URL(target instanceof Request ? target.url : target);
  const response = await fetch(target, init);
  const line = [init.method ?? "GET", `${url.origin}${url.pathname}`, response.status];
  const challenge = response.headers.get("www-authenticate");
  transcript.push(challenge ? [...line, challenge].join(" ") : line.join(" "));
  return response;
}

const kept = {};
let authorization;
const authProvider = {
  redirectUrl: CALLBACK,
  clientMetadata: {
    client_name: "e2e",
    redirect_uris: [CALLBACK],
    application_type: "native",
    token_endpoint_auth_method: "none",
    grant_types: ["authorization_code", "refresh_token"],
    response_types: ["code"],
  },
  clientInformation: () => kept.client,
  saveClientInformation: (client) => void (kept.client = client),
  tokens: () => kept.tokens,
  saveTokens: (tokens) => void (kept.tokens = tokens),
  redirectToAuthorization: (url) => void (authorization = url),
  saveCodeVerifier: (verifier) => void (kept.verifier = verifier),
  codeVerifier: () => kept.verifier,
  discoveryState: () => kept.discovery,
  saveDiscoveryState: (discovery) => void (kept.discovery = discovery),
};

/** Follows redirects with cookies until the callback, and gives its parameters. */
async function browse(start) {
  const cookies = new Map();
  let url = start;
  for (let step = 0; step < 10; step += 1) {
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const response = await recorded(url, { redirect: "manual", headers: { cookie } });
    for (const line of response.headers.getSetCookie()) {
      const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
      cookies.set(name, value);
    }
    const location = response.headers.get("location");
    if (!location) throw new Error(`no way on from ${url.pathname}: ${await response.text()}`);
    url = new URL(location, url);
    if (url.href.startsWith(CALLBACK)) return url.searchParams;
  }
  throw new Error("redirected for ever");
}

const newTransport = () => new StreamableHTTPClientTransport(server, { authProvider, fetch: recorded });
const newClient = () => new Client({ name: "e2e", version: "1" });

const first = newTransport();
try {
  await newClient().connect(first);
  throw new Error("let in without a token");
} catch (error) {
  if (!(error instanceof UnauthorizedError)) throw error;
}
await first.finishAuth(await browse(authorization));

const client = newClient();
await client.connect(newTransport());
const { tools } = await client.listTools();
const result = await client.callTool({ name: "prometheus_query", arguments: { query: "1" } });
await client.close();
const report = {
  transcript,
  asked: Object.fromEntries(authorization.searchParams),
  scope: kept.tokens.scope,
  tools: tools.map((tool) => tool.name),
  error: result.isError ?? false,
};
for (const secret of ["code_challenge", "state"]) delete report.asked[secret];
console.log("REPORT", JSON.stringify(report));
