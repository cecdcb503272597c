// A real OpenID provider on the loopback: provider.mjs PORT (0: a free one). Prints `ISSUER http://127.0.0.1:PORT`.
//
// Every resource indicator names a resource server that takes JWT access tokens; whoever comes to log in is
// alice, and is let in without being asked. Keys live in memory; what a test changes is under /_test:
//   rotate?keep=0|1   a new signing key, the old one kept in the set or dropped
//   sign?alg=ES256    sign with this algorithm from now on; older keys stay in the set
//   jwks?down=0|1     answer 503 instead of the key set
//   fetches           how often the key set was asked for

import { generateKeyPairSync } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

// The packages do not stand beside this file, so that npm writes nothing into the sources.
const require = createRequire(pathToFileURL(`${process.env.NODE_PACKAGES}/`));
const { default: Provider } = require("oidc-provider");

const CLIENTS = ["svc", "robot"];
const SCOPES = "metrics:read metrics:admin";
const KINDS = {
  RS256: ["rsa", { modulusLength: 2048 }],
  ES256: ["ec", { namedCurve: "P-256" }],
  EdDSA: ["ed25519", {}],
};

let made = 0;
function newKey(alg) {
  const [kind, options] = KINDS[alg];
  made += 1;
  const jwk = generateKeyPairSync(kind, options).privateKey.export({ format: "jwk" });
  return { ...jwk, kid: `key-${made}`, use: "sig", alg };
}

let issuer;
let alg = "RS256";
let keys = [newKey(alg)];
let down = false;
let fetches = 0;
let callback;

// Its own state (clients, codes, sessions) is global to the process and outlives an instance.
function restart() {
  const provider = new Provider(issuer, {
    jwks: { keys },
    cookies: { keys: ["for tests only"] },
    // Clients register for scopes of the resource, so the provider has to know them.
    scopes: ["openid", "offline_access", ...SCOPES.split(" ")],
    clientDefaults: { id_token_signed_response_alg: alg },
    enabledJWA: {
      idTokenSigningAlgValues: Object.keys(KINDS),
    },
    clients: CLIENTS.map((id) => ({
      client_id: id,
      client_secret: `${id}-secret`,
      grant_types: ["client_credentials"],
      response_types: [],
      redirect_uris: [],
    })),
    pkce: { required: () => true },
    findAccount: (_ctx, id) => ({ accountId: id, claims: () => ({ sub: id }) }),
    extraTokenClaims: () => ({ groups: ["readers"], tenant: "acme" }),
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    loadExistingGrant,
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      registration: { enabled: true },
      resourceIndicators: {
        enabled: true,
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, resource) => ({
          scope: SCOPES,
          audience: resource,
          accessTokenFormat: "jwt",
          accessTokenTTL: 600,
          jwt: { sign: { alg } },
        }),
      },
    },
  });
  provider.on("server_error", (_ctx, error) => console.error(error));
  const serve = provider.callback();
  callback = async (request, response) => {
    if (request.url.startsWith("/interaction/")) {
      // Native clients must ask for consent, whatever was granted before.
      const result = { login: { accountId: "alice" }, consent: {} };
      await provider.interactionFinished(request, response, result);
    } else {
      serve(request, response);
    }
  };
}

async function loadExistingGrant(ctx) {
  const { client, session, provider, params } = ctx.oidc;
  const known = session.grantIdFor(client.clientId);
  if (known) return provider.Grant.find(known);
  const grant = new provider.Grant({ clientId: client.clientId, accountId: session.accountId });
  grant.addOIDCScope(`openid offline_access ${SCOPES}`);
  for (const resource of [params.resource ?? []].flat()) grant.addResourceScope(resource, SCOPES);
  await grant.save();
  return grant;
}

function change(url) {
  const { pathname, searchParams } = url;
  if (pathname === "/_test/rotate") {
    const fresh = newKey(alg);
    keys = searchParams.get("keep") === "1" ? [fresh, ...keys] : [fresh];
    restart();
  } else if (pathname === "/_test/sign") {
    alg = searchParams.get("alg");
    keys = [newKey(alg), ...keys];
    restart();
  } else if (pathname === "/_test/jwks") {
    down = searchParams.get("down") === "1";
  }
  return JSON.stringify({ fetches, keys: keys.map((key) => key.kid) });
}

const server = createServer((request, response) => {
  const url = new URL(request.url, issuer);
  if (url.pathname.startsWith("/_test/")) {
    response.end(change(url));
    return;
  }
  if (url.pathname === "/jwks") {
    fetches += 1;
    if (down) {
      response.writeHead(503).end();
      return;
    }
  }
  if (url.pathname === "/.well-known/oauth-authorization-server") {
    request.url = "/.well-known/openid-configuration";
  }
  callback(request, response);
});
server.listen(Number(process.argv[2]), "127.0.0.1", () => {
  issuer = `http://127.0.0.1:${server.address().port}`;
  restart();
  console.log(`ISSUER ${issuer}`);
});
