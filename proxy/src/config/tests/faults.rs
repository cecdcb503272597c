//! Faulty configurations and every fault that they give, with line, place, words and remedy.

use super::faults_of;

/// What is faulty, the file, and its faults.
type Case = (&'static str, &'static str, &'static [&'static str]);

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("an empty file",
"",
    &[
        "backends: there is no backend; name at least one, as in `backends: { prometheus: { url: \"http://127.0.0.1:9090\" } }`",
    ]),
    ("only a comment",
r#"# nothing
"#,
    &[
        "backends: there is no backend; name at least one, as in `backends: { prometheus: { url: \"http://127.0.0.1:9090\" } }`",
    ]),
    ("no backends",
r#"server:
  name: x
"#,
    &[
        "backends: there is no backend; name at least one, as in `backends: { prometheus: { url: \"http://127.0.0.1:9090\" } }`",
    ]),
    ("an empty map of backends",
r#"backends: {}
"#,
    &[
        "1: backends: there is no backend; name at least one, as in `backends: { prometheus: { url: \"http://127.0.0.1:9090\" } }`",
    ]),
    ("a list at the top",
r#"- a
- b
"#,
    &[
        "a section of keys is wanted here, not a list; write its keys on the next lines, indented",
    ]),
    ("text at the top",
r#"hello
"#,
    &[
        "a section of keys is wanted here, not text; write its keys on the next lines, indented",
    ]),
    ("a tab as indentation",
r#"server:
	name: x
"#,
    &[
        "2: not valid YAML: found character that cannot start any token at line 2 column 1, while scanning for the next token; check the indentation, quotes and brackets there and on the line before",
    ]),
    ("an unclosed bracket",
r#"middleware:
  access_logs:
    excluded_headers: [a, b
backends:
  p:
    url: http://p:9090
"#,
    &[
        "4: not valid YAML: did not find expected ',' or ']' at line 4 column 9, while parsing a flow sequence at line 3 column 23; check the indentation, quotes and brackets there and on the line before",
    ]),
    ("an unclosed quote",
r#"server:
  name: "x
backends:
  p:
    url: http://p:9090
"#,
    &[
        "6: not valid YAML: found unexpected end of stream at line 6 column 1, while scanning a quoted scalar at line 2 column 9; check the indentation, quotes and brackets there and on the line before",
    ]),
    ("an unknown anchor",
r#"backends:
  p:
    url: http://p:9090
  q: *missing
"#,
    &[
        "4: not valid YAML: unknown anchor at line 4 column 6; check the indentation, quotes and brackets there and on the line before",
    ]),
    ("two documents",
r#"backends:
  p:
    url: http://p:9090
---
a: 1
"#,
    &[
        "it holds more than one YAML document; remove what follows the second `---`",
    ]),
    ("a tag",
r#"server:
  name: !env NAME
backends:
  p:
    url: http://p:9090
"#,
    &[
        "2: server.name: this value has a YAML tag; remove the word with `!` before it",
    ]),
    ("a tag that the value does not fit",
r#"server:
  workers: !!int hunter2
backends:
  p:
    url: http://p:9090
"#,
    &[
        "2: a value does not fit its tag, or a key is not text; remove the `!` tag or write the key as plain text",
    ]),
    ("a mapping as a key",
r#"? {a: b}
: c
backends:
  p:
    url: http://p:9090
"#,
    &[
        "1: a value does not fit its tag, or a key is not text; remove the `!` tag or write the key as plain text",
    ]),
    ("a key that stands there twice",
r#"server:
  workers: 1
  name: a
  workers: 2
backends:
  p:
    url: http://p:9090
"#,
    &[
        "4: server.workers: this key stands here twice; remove one of them",
    ]),
    ("two backends of one name",
r#"backends:
  p:
    url: http://p:9090
  p:
    url: http://q:9090
"#,
    &[
        "4: backends.p: this key stands here twice; remove one of them",
    ]),
    ("a merge of text",
r#"backends:
  p:
    <<: base
    url: http://p:9090
"#,
    &[
        "3: backends.p.<<: a merge key takes a mapping or a list of mappings; name an anchor of a mapping, as in `<<: *base`",
    ]),
    ("an alias that holds itself",
r#"x-a: &a
  b: *a
backends:
  p:
    url: http://p:9090
"#,
    &[
        "1: not valid YAML: recursion limit exceeded at line 1 column 6; check the indentation, quotes and brackets there and on the line before",
    ]),
    ("an unset variable",
r#"server:
  name: ${NAME}
backends:
  p:
    url: http://p:9090
"#,
    &[
        "2: server.name: the environment variable `NAME` is not set; set it, give a default with `${NAME:-…}`, or write `$$` for a dollar sign",
    ]),
    ("two unset variables in one value",
r#"backends:
  p:
    url: http://${HOST}:$PORT
"#,
    &[
        "3: backends.p.url: the environment variable `HOST` is not set; set it, give a default with `${HOST:-…}`, or write `$$` for a dollar sign",
        "3: backends.p.url: the environment variable `PORT` is not set; set it, give a default with `${PORT:-…}`, or write `$$` for a dollar sign",
    ]),
    ("an unclosed variable",
r#"server:
  name: ${NAME
backends:
  p:
    url: http://p:9090
"#,
    &[
        "2: server.name: `${` has no `}`; close it, or write `$$` for a dollar sign",
    ]),
    ("a variable without a name",
r#"server:
  name: ${}
backends:
  p:
    url: http://p:9090
"#,
    &[
        "2: server.name: what stands in `${…}` is not a variable's name; write `${NAME}` or `${NAME:-default}`, or `$$` for a dollar sign",
    ]),
    ("a shell form that is not served",
r#"server:
  name: ${NAME:?must be set}
backends:
  p:
    url: http://p:9090
"#,
    &[
        "2: server.name: what stands in `${…}` is not a variable's name; write `${NAME}` or `${NAME:-default}`, or `$$` for a dollar sign",
    ]),
    ("a variable in a default",
r#"server:
  name: ${NAME:-$OTHER}
backends:
  p:
    url: http://p:9090
"#,
    &[
        "2: server.name: a default may not hold a variable; write the default as plain text",
    ]),
    ("an unset variable in a list",
r#"middleware:
  access_logs:
    excluded_headers:
      - X-A
      - $HEADER
      - X A
backends:
  p:
    url: http://p:9090
"#,
    &[
        "5: middleware.access_logs.excluded_headers[1]: the environment variable `HEADER` is not set; set it, give a default with `${HEADER:-…}`, or write `$$` for a dollar sign",
        "6: middleware.access_logs.excluded_headers[2]: not the name of a header; write letters, digits and `-` only, such as `X-Request-Id`",
    ]),
    ("an unset variable is the only fault of a required key",
r#"backends:
  p:
    url: $URL
    auth:
      type: basic
      username: $USER_NAME
      password: $PASSWORD
"#,
    &[
        "3: backends.p.url: the environment variable `URL` is not set; set it, give a default with `${URL:-…}`, or write `$$` for a dollar sign",
        "6: backends.p.auth.username: the environment variable `USER_NAME` is not set; set it, give a default with `${USER_NAME:-…}`, or write `$$` for a dollar sign",
        "7: backends.p.auth.password: the environment variable `PASSWORD` is not set; set it, give a default with `${PASSWORD:-…}`, or write `$$` for a dollar sign",
    ]),
    ("an unknown key at the top",
r#"severs:
  name: x
backends:
  p:
    url: http://p:9090
"#,
    &[
        "1: severs: unknown key; write `server`; the keys here are `backends`, `middleware`, `oauth_authorization_server`, `oauth_protected_resource`, `server`, `sessions`, `tools`",
    ]),
    ("an unknown key deep down",
r#"server:
  transport:
    http:
      limits:
        body_byte_max: 1MiB
backends:
  p:
    url: http://p:9090
"#,
    &[
        "5: server.transport.http.limits.body_byte_max: unknown key; write `body_bytes_max`; the keys here are `body_bytes_max`, `body_timeout`, `connections_max`, `connections_per_address_max`, `header_timeout`, `idle_timeout`, `write_timeout`",
    ]),
    ("an unknown key like no other",
r#"backends:
  p:
    url: http://p:9090
    zzz: 1
"#,
    &[
        "4: backends.p.zzz: unknown key; remove it; the keys here are `auth`, `available_orgs`, `connect_timeout`, `header_files`, `headers`, `org_id`, `response_bytes_max`, `timeout`, `tls`, `url`",
    ]),
    ("a key with its value glued to it",
r#"backends:
  p: {url: 'http://p:9090', auth: {type: basic, username: u, password:hunter2}}
"#,
    &[
        "2: backends.p.auth.(key not shown): unknown key; write `password`; the keys here are `password`, `password_file`, `token`, `token_file`, `type`, `username`",
        "2: backends.p.auth.password: is missing or empty, though the type is `basic`; write `password: ${VARIABLE}`, or name a file with `password_file`",
    ]),
    ("text for a section",
r#"server: yes
backends:
  p:
    url: http://p:9090
"#,
    &[
        "1: server: a section of keys is wanted here, not text; write its keys on the next lines, indented",
    ]),
    ("a list for a section",
r#"backends:
  - url: http://p:9090
"#,
    &[
        "1: backends: a section of keys is wanted here, not a list; write its keys on the next lines, indented",
    ]),
    ("text for a list",
r#"backends:
  p:
    url: http://p:9090
    available_orgs: a
"#,
    &[
        "4: backends.p.available_orgs: a list is wanted here, not text; write `[…]`, or each item on its own line after `- `",
    ]),
    ("a number for text",
r#"server:
  version: 1.10
backends:
  p:
    url: http://p:9090
"#,
    &[
        "2: server.version: text is wanted here, not a number; put it in quotes",
    ]),
    ("a number for a secret",
r#"backends:
  p:
    url: http://p:9090
    auth:
      type: token
      token: 271828182845
"#,
    &[
        "6: backends.p.auth.token: text is wanted here, not a number; put it in quotes",
    ]),
    ("a list for a secret",
r#"backends:
  p:
    url: http://p:9090
    auth:
      type: token
      token: [hunter2]
"#,
    &[
        "6: backends.p.auth.token: text is wanted here, not a list; write one line of text",
    ]),
    ("text for a number",
r#"server:
  workers: many
backends:
  p:
    url: http://p:9090
"#,
    &[
        "2: server.workers: a whole number is wanted here, not text; write digits only, as in `100`",
    ]),
    ("a negative number",
r#"server:
  workers: -1
backends:
  p:
    url: http://p:9090
"#,
    &[
        "2: server.workers: a whole number is wanted here, not a negative one; write digits only, as in `100`",
    ]),
    ("a fraction",
r#"server:
  workers: 1.5
backends:
  p:
    url: http://p:9090
"#,
    &[
        "2: server.workers: a whole number is wanted here, not a fraction; write digits only, as in `100`",
    ]),
    ("a number over all bounds",
r#"sessions:
  per_worker_max: 99999999999999999999999
backends:
  p:
    url: http://p:9090
"#,
    &[
        "2: sessions.per_worker_max: a whole number is wanted here, not one that large; write digits only, as in `100`",
    ]),
    ("text for a flag",
r#"server:
  transport:
    http:
      h2c: maybe
backends:
  p:
    url: http://p:9090
"#,
    &[
        "4: server.transport.http.h2c: `true` or `false` is wanted here, not text; write one of these words",
    ]),
    ("an unknown transport",
r#"server:
  transport:
    type: sse
backends:
  p:
    url: http://p:9090
"#,
    &[
        "3: server.transport.type: unknown choice; write one of `http`, `stdio`",
    ]),
    ("a misspelt transport",
r#"server:
  transport:
    type: htttp
backends:
  p:
    url: http://p:9090
"#,
    &[
        "3: server.transport.type: unknown choice; write `http`; the choices are `http`, `stdio`",
    ]),
    ("an unknown kind of auth",
r#"backends:
  p:
    url: http://p:9090
    auth:
      type: digest
      username: u
      password: hunter2
"#,
    &[
        "5: backends.p.auth.type: unknown choice; write one of `none`, `basic`, `token`",
    ]),
    ("an empty item",
r#"backends:
  p:
    url: http://p:9090
    available_orgs:
      - a
      -
"#,
    &[
        "6: backends.p.available_orgs[1]: this item is empty; give it a value or remove it",
    ]),
    ("sections of prometheus-mcp before 0.6",
r#"prometheus:
  url: http://p:9090
pmm:
  url: http://q
"#,
    &[
        "1: prometheus: this section belongs to prometheus-mcp before 0.6; move it to `backends.prometheus:`",
        "3: pmm: this section belongs to prometheus-mcp before 0.6; move it to `backends.pmm:`",
    ]),
    ("the port in the wrong place",
r#"server:
  port: 8080
backends:
  p:
    url: http://p:9090
"#,
    &[
        "2: server.port: this key is known, but not here; write `server.transport.http.host: \":PORT\"`",
    ]),
    ("TLS on the listener",
r#"server:
  transport:
    http:
      tls:
        cert: a.pem
        key: b.pem
backends:
  p:
    url: http://p:9090
"#,
    &[
        "4: server.transport.http.tls: TLS is not served by this version; remove it and terminate TLS in front of Promgate",
    ]),
    ("backend for backends",
r#"backend:
  p:
    url: http://p:9090
"#,
    &[
        "1: backend: unknown key; write `backends`; the keys here are `backends`, `middleware`, `oauth_authorization_server`, `oauth_protected_resource`, `server`, `sessions`, `tools`",
    ]),
    ("credentials outside of auth",
r#"backends:
  p:
    url: http://p:9090
    username: u
    password: hunter2
"#,
    &[
        "4: backends.p.username: this key is known, but not here; move it to `auth.username`",
        "5: backends.p.password: this key is known, but not here; move it to `auth.password`",
    ]),
    ("certificates not to be verified",
r#"backends:
  p:
    url: http://p:9090
    tls:
      insecure_skip_verify: true
"#,
    &[
        "5: backends.p.tls.insecure_skip_verify: certificates are always verified; remove it and name the authority in `ca_file`",
    ]),
    ("an empty listen address",
r#"server:
  transport:
    http:
      host: ""
backends:
  p:
    url: http://p:9090
"#,
    &[
        "4: server.transport.http.host: not an address and port to listen on; write `:8080` for every address of this machine, or one of them, such as `127.0.0.1:8080` or `[::1]:8080`",
    ]),
    ("a listen address that is a number",
r#"server:
  transport:
    http:
      host: 8080
backends:
  p:
    url: http://p:9090
"#,
    &[
        "4: server.transport.http.host: text is wanted here, not a number; put it in quotes",
    ]),
    ("a listen address with a name",
r#"server:
  transport:
    http:
      host: example.com:8080
backends:
  p:
    url: http://p:9090
"#,
    &[
        "4: server.transport.http.host: not an address and port to listen on; write `:8080` for every address of this machine, or one of them, such as `127.0.0.1:8080` or `[::1]:8080`",
    ]),
    ("a port over 65535",
r#"server:
  transport:
    http:
      host: ":70000"
backends:
  p:
    url: http://p:9090
"#,
    &[
        "4: server.transport.http.host: not an address and port to listen on; write `:8080` for every address of this machine, or one of them, such as `127.0.0.1:8080` or `[::1]:8080`",
    ]),
    ("both listeners on one port",
r#"server:
  transport:
    http:
      host: ":9091"
backends:
  p:
    url: http://p:9090
"#,
    &[
        "1: server.admin.host: the admin listener has the port of the HTTP listener; give it another port, such as `127.0.0.1:9091`, or write `off`",
    ]),
    ("bad paths",
r#"server:
  transport:
    http:
      path: mcp/
backends:
  p:
    url: http://p:9090
"#,
    &[
        "4: server.transport.http.path: not a path that can be served; write it as `/mcp`: a slash first and none at the end, then letters, digits, `-`, `_`, `.`, `~`; `/mcp/` is served along with `/mcp`",
    ]),
    ("a path that ends with a slash",
r#"server:
  transport:
    http:
      path: /mcp/
backends:
  p:
    url: http://p:9090
"#,
    &[
        "4: server.transport.http.path: not a path that can be served; write it as `/mcp`: a slash first and none at the end, then letters, digits, `-`, `_`, `.`, `~`; `/mcp/` is served along with `/mcp`",
    ]),
    ("a path that is taken",
r#"server:
  transport:
    http:
      path: /.well-known/mcp
backends:
  p:
    url: http://p:9090
"#,
    &[
        "4: server.transport.http.path: `/.well-known` is kept for documents that standards place there; choose another path, such as `/mcp`",
    ]),
    ("a host with a scheme",
r#"server:
  transport:
    http:
      allowed_hosts:
        - mcp.example.com
        - https://mcp.example.com
        - "*.example.com"
backends:
  p:
    url: http://p:9090
"#,
    &[
        "6: server.transport.http.allowed_hosts[1]: not a host; write a name or address, with or without a port, such as `mcp.example.com`; `*` alone allows every host, and there are no patterns",
        "7: server.transport.http.allowed_hosts[2]: not a host; write a name or address, with or without a port, such as `mcp.example.com`; `*` alone allows every host, and there are no patterns",
    ]),
    ("origins without a scheme or with a path",
r#"server:
  transport:
    http:
      allowed_origins: [app.example.com, "https://app.example.com/x", "null"]
backends:
  p:
    url: http://p:9090
"#,
    &[
        "4: server.transport.http.allowed_origins[0]: not an origin; write scheme and host, with or without a port and with no path, such as `https://app.example.com`; `*` alone allows every origin",
        "4: server.transport.http.allowed_origins[1]: not an origin; write scheme and host, with or without a port and with no path, such as `https://app.example.com`; `*` alone allows every origin",
        "4: server.transport.http.allowed_origins[2]: not an origin; write scheme and host, with or without a port and with no path, such as `https://app.example.com`; `*` alone allows every origin",
    ]),
    ("limits of nought",
r#"server:
  transport:
    http:
      limits:
        body_bytes_max: 0
        header_timeout: 0
        connections_max: 0
backends:
  p:
    url: http://p:9090
"#,
    &[
        "5: server.transport.http.limits.body_bytes_max: out of range: 1KiB to 1GiB; write a size in that range",
        "6: server.transport.http.limits.header_timeout: a duration is wanted here, not a number; write a number with its unit, such as `30s`",
        "7: server.transport.http.limits.connections_max: out of range: 1 to 1000000; write a number in that range",
    ]),
    ("a duration without a unit",
r#"server:
  drain_timeout: 30
backends:
  p:
    url: http://p:9090
"#,
    &[
        "2: server.drain_timeout: a duration is wanted here, not a number; write a number with its unit, such as `30s`",
    ]),
    ("a duration in quotes without a unit",
r#"server:
  drain_timeout: "30"
backends:
  p:
    url: http://p:9090
"#,
    &[
        "2: server.drain_timeout: not a duration; write numbers with their units, such as `30s`, `5m` or `1h30m` (ms, s, m, h, d)",
    ]),
    ("a size with a unit that is not known",
r#"tools:
  answer_bytes_max: 64k
backends:
  p:
    url: http://p:9090
"#,
    &[
        "2: tools.answer_bytes_max: not a size; write a whole number of bytes, or one with a unit such as `64KiB`, `1MiB`, `10MB`",
    ]),
    ("too many workers",
r#"server:
  workers: 100000
backends:
  p:
    url: http://p:9090
"#,
    &[
        "2: server.workers: out of range: 0 to 1024; write a number in that range",
    ]),
    ("a name with a line end",
r#"server:
  name: "a\nb"
backends:
  p:
    url: http://p:9090
"#,
    &[
        "2: server.name: is longer than 128 bytes or holds a control character; write a short text, or remove the key",
    ]),
    ("an output that is neither",
r#"middleware:
  access_logs:
    output: stdot
backends:
  p:
    url: http://p:9090
"#,
    &[
        "3: middleware.access_logs.output: neither `stdout`, `off` nor the path of a file; write one of them; a path holds a `/`, as in `./access.log`",
    ]),
    ("a header in two lists",
r#"middleware:
  access_logs:
    excluded_headers: [X-A]
    redacted_headers: [x-a]
backends:
  p:
    url: http://p:9090
"#,
    &[
        "4: middleware.access_logs.redacted_headers[0]: this header is in `excluded_headers` too; keep it in one of the two lists",
    ]),
    ("a secret in the clear",
r#"middleware:
  access_logs:
    included_headers: [Authorization]
backends:
  p:
    url: http://p:9090
"#,
    &[
        "3: middleware.access_logs.included_headers[0]: this header holds a secret; move it to `redacted_headers`, which records that it was sent",
    ]),
    ("tokens to be verified",
r#"middleware:
  jwt:
    enabled: true
    validation:
      strategy: local
      forwarded_header: X-Validated-Jwt
      local:
        jwks_uri: https://idp.example.com/keys
        cache_interval: 10s
backends:
  p:
    url: http://p:9090
"#,
    &[
        "3: middleware.jwt.enabled: this version does not verify tokens, so it would serve everyone; let a proxy in front verify them, keep Promgate reachable from that proxy only, and write `enabled: false`",
    ]),
    ("keys fetched without a pause",
r#"middleware:
  jwt:
    enabled: false
    validation:
      strategy: local
      local:
        cache_interval: 0s
        allow_conditions:
          - expression: ""
backends:
  p:
    url: http://p:9090
"#,
    &[
        "6: middleware.jwt.validation.local.jwks_uri: is missing, though `strategy` is `local`; write the address of the signing keys",
        "7: middleware.jwt.validation.local.cache_interval: not a duration over zero; write how long keys may be used, such as `5m`",
        "9: middleware.jwt.validation.local.allow_conditions[0].expression: this condition has no expression; write one, or remove the item",
    ]),
    ("an unknown strategy",
r#"middleware:
  jwt:
    validation:
      strategy: remote
      forwarded_header: X Y
backends:
  p:
    url: http://p:9090
"#,
    &[
        "4: middleware.jwt.validation.strategy: unknown choice; write one of `local`, `external`",
        "5: middleware.jwt.validation.forwarded_header: not the name of a header; write letters, digits and `-` only, such as `X-Request-Id`",
    ]),
    ("OAuth documents to be served",
r#"oauth_authorization_server:
  enabled: true
  issuer_uri: https://idp.example.com
oauth_protected_resource:
  enabled: true
  resource: https://mcp.example.com
backends:
  p:
    url: http://p:9090
"#,
    &[
        "2: oauth_authorization_server.enabled: this version does not serve OAuth metadata, so clients could not find out where to log in; let the proxy in front serve it, and write `enabled: false`",
        "5: oauth_protected_resource.enabled: this version does not serve OAuth metadata, so clients could not find out where to log in; let the proxy in front serve it, and write `enabled: false`",
    ]),
    ("OAuth addresses without a scheme",
r#"oauth_authorization_server:
  issuer_uri: idp.example.com
  url_suffix: mcp
oauth_protected_resource:
  resource: mcp.example.com
  auth_servers: [https://a, b]
backends:
  p:
    url: http://p:9090
"#,
    &[
        "2: oauth_authorization_server.issuer_uri: not an http or https address; write it with its scheme, such as `https://example.com`",
        "3: oauth_authorization_server.url_suffix: does not begin with a slash; write it as `/mcp`",
        "5: oauth_protected_resource.resource: not an http or https address; write it with its scheme, such as `https://example.com`",
        "6: oauth_protected_resource.auth_servers[1]: not an http or https address; write it with its scheme, such as `https://example.com`",
    ]),
    ("backends without an address",
r#"backends:
  a:
  b: {}
  c:
    url: ""
"#,
    &[
        "2: backends.a.url: is missing; write the backend's base address, such as `http://prometheus:9090`",
        "3: backends.b.url: is missing; write the backend's base address, such as `http://prometheus:9090`",
        "5: backends.c.url: is empty; write the backend's base address, such as `http://prometheus:9090`",
    ]),
    ("an address without a scheme",
r#"backends:
  p:
    url: prometheus:9090
"#,
    &[
        "3: backends.p.url: not an http or https address; write it with its scheme, such as `https://example.com`",
    ]),
    ("an address of another scheme",
r#"backends:
  p:
    url: ftp://p
"#,
    &[
        "3: backends.p.url: not an http or https address; write it with its scheme, such as `https://example.com`",
    ]),
    ("an address with credentials",
r#"backends:
  p:
    url: http://user:hunter2@p:9090
"#,
    &[
        "3: backends.p.url: the address holds a user name or password; remove them; a backend's credentials go to its `auth` section",
    ]),
    ("an address with a query",
r#"backends:
  p:
    url: http://p:9090/?x=hunter2
"#,
    &[
        "3: backends.p.url: the address holds a query or fragment; remove what follows `?` or `#`; further keys of a request go to `headers`",
    ]),
    ("an address that ends with the API",
r#"backends:
  p:
    url: http://p:9090/api/v1/
"#,
    &[
        "3: backends.p.url: the address ends with `/api/v1`; remove that end; it is appended to every request",
    ]),
    ("a backend's name with a space",
r#"backends:
  my prom:
    url: http://p:9090
"#,
    &[
        "2: backends.(key not shown): a backend name is 1 to 64 of a-z, A-Z, 0-9, '.', '_', '-'; rename it",
    ]),
    ("tenants that name several",
r#"backends:
  p:
    url: http://p:9090
    org_id: a|b
    available_orgs: [c, "d e"]
"#,
    &[
        "4: backends.p.org_id: a tenant id is 1 to 150 visible ASCII characters without '|'; write one tenant's id",
        "5: backends.p.available_orgs[1]: a tenant id is 1 to 150 visible ASCII characters without '|'; write one tenant's id",
    ]),
    ("basic without a user",
r#"backends:
  p:
    url: http://p:9090
    auth:
      type: basic
      password: hunter2
"#,
    &[
        "4: backends.p.auth.username: is missing or empty, though the type is `basic`; write the user name",
    ]),
    ("basic without a password",
r#"backends:
  p:
    url: http://p:9090
    auth:
      type: basic
      username: u
"#,
    &[
        "4: backends.p.auth.password: is missing or empty, though the type is `basic`; write `password: ${VARIABLE}`, or name a file with `password_file`",
    ]),
    ("basic with a token",
r#"backends:
  p:
    url: http://p:9090
    auth:
      type: basic
      username: u
      password: hunter2
      token: hunter3
"#,
    &[
        "5: backends.p.auth.type: a token is given, but the type is `basic`; remove it, or write `type: token`",
    ]),
    ("a token with a user",
r#"backends:
  p:
    url: http://p:9090
    auth:
      type: token
      username: u
      token: hunter2
"#,
    &[
        "5: backends.p.auth.type: a user name or password is given, but the type is `token`; remove it, or write `type: basic`",
    ]),
    ("a token without a token",
r#"backends:
  p:
    url: http://p:9090
    auth:
      type: token
"#,
    &[
        "4: backends.p.auth.token: is missing or empty, though the type is `token`; write `token: ${VARIABLE}`, or name a file with `token_file`",
    ]),
    ("credentials without a type",
r#"backends:
  p:
    url: http://p:9090
    auth:
      token: hunter2
"#,
    &[
        "4: backends.p.auth.type: credentials are given, but no type that uses them; write `type: token`, or remove the credentials",
    ]),
    ("an empty token",
r#"backends:
  p:
    url: http://p:9090
    auth:
      type: token
      token: ""
"#,
    &[
        "6: backends.p.auth.token: is missing or empty, though the type is `token`; write `token: ${VARIABLE}`, or name a file with `token_file`",
    ]),
    ("an empty header",
r#"backends:
  p:
    url: http://p:9090
    headers:
      X-A: ""
"#,
    &[
        "5: backends.p.headers.X-A: is empty; give the value, or remove the key",
    ]),
    ("a token with the word Bearer",
r#"backends:
  p:
    url: http://p:9090
    auth:
      type: token
      token: Bearer hunter2
"#,
    &[
        "6: backends.p.auth.token: holds a space or another character that a token cannot have; give the token alone, without `Bearer` and line ends",
    ]),
    ("a user name with a colon",
r#"backends:
  p:
    url: http://p:9090
    auth:
      type: basic
      username: a:b
      password: hunter2
"#,
    &[
        "6: backends.p.auth.username: holds a colon or control character, which basic authentication cannot carry; write another user name",
    ]),
    ("a password twice",
r#"backends:
  p:
    url: http://p:9090
    auth:
      type: basic
      username: u
      password: hunter2
      password_file: /nowhere
"#,
    &[
        "8: backends.p.auth.password_file: both `password` and `password_file` are given; keep one of them",
    ]),
    ("a password file that is not there",
r#"backends:
  p:
    url: http://p:9090
    auth:
      type: basic
      username: u
      password_file: /nowhere/password
"#,
    &[
        "7: backends.p.auth.password_file: the file cannot be read: there is no such file; check the path (a relative one starts at the folder of the configuration file) and that this user may read it",
    ]),
    ("headers that are Promgate's",
r#"backends:
  p:
    url: http://p:9090
    headers:
      Authorization: Bearer hunter2
      X-Scope-OrgID: a
      Host: b
"#,
    &[
        "5: backends.p.headers.Authorization: Promgate sets this header itself; use the backend's `auth` section",
        "6: backends.p.headers.X-Scope-OrgID: Promgate sets this header itself; use the backend's `org_id`",
        "7: backends.p.headers.Host: Promgate sets this header itself; remove it",
    ]),
    ("headers that cannot be sent",
r#"backends:
  p:
    url: http://p:9090
    headers:
      X A: b
      X-B: "a\nb"
"#,
    &[
        "5: backends.p.headers.(key not shown): not the name of a header; write letters, digits and `-` only, such as `X-Request-Id`",
        "6: backends.p.headers.X-B: the value holds a character that a header cannot have; write one line of visible ASCII characters",
    ]),
    ("a header twice",
r#"backends:
  p:
    url: http://p:9090
    headers:
      X-Key: a
      x-key: b
"#,
    &[
        "6: backends.p.headers.x-key: this header is given twice; keep one of them",
    ]),
    ("authorities that are not there",
r#"backends:
  p:
    url: http://p:9090
    tls:
      ca_file: /nowhere/ca.pem
"#,
    &[
        "5: backends.p.tls.ca_file: the file cannot be read: there is no such file; check the path (a relative one starts at the folder of the configuration file) and that this user may read it",
    ]),
    ("a timeout of nought",
r#"backends:
  p:
    url: http://p:9090
    timeout: 0s
    connect_timeout: 2h
    response_bytes_max: 1
"#,
    &[
        "4: backends.p.timeout: out of range: 1ms to 1h; write a duration in that range",
        "5: backends.p.connect_timeout: out of range: 1ms to 1h; write a duration in that range",
        "6: backends.p.response_bytes_max: out of range: 1KiB to 4GiB; write a size in that range",
    ]),
    ("faults of every kind at once, in the order of their lines",
r#"server:
  nam: x
  workers: many
  transport:
    type: sse
    http:
      path: mcp
middleware:
  jwt:
    enabled: true
backends:
  a:
    url: ${A_URL}
    timeout: 30
  b:
    url: http://b:9090?x
    auth: {type: basic, username: u}
  c: &c
    url: http://c:9090
    org_id: a|b
  d:
    <<: *c
"#,
    &[
        "2: server.nam: unknown key; write `name`; the keys here are `admin`, `drain_timeout`, `limits`, `name`, `transport`, `version`, `workers`",
        "3: server.workers: a whole number is wanted here, not text; write digits only, as in `100`",
        "5: server.transport.type: unknown choice; write one of `http`, `stdio`",
        "7: server.transport.http.path: not a path that can be served; write it as `/mcp`: a slash first and none at the end, then letters, digits, `-`, `_`, `.`, `~`; `/mcp/` is served along with `/mcp`",
        "10: middleware.jwt.enabled: this version does not verify tokens, so it would serve everyone; let a proxy in front verify them, keep Promgate reachable from that proxy only, and write `enabled: false`",
        "13: backends.a.url: the environment variable `A_URL` is not set; set it, give a default with `${A_URL:-…}`, or write `$$` for a dollar sign",
        "14: backends.a.timeout: a duration is wanted here, not a number; write a number with its unit, such as `30s`",
        "16: backends.b.url: the address holds a query or fragment; remove what follows `?` or `#`; further keys of a request go to `headers`",
        "17: backends.b.auth.password: is missing or empty, though the type is `basic`; write `password: ${VARIABLE}`, or name a file with `password_file`",
        "20: backends.c.org_id: a tenant id is 1 to 150 visible ASCII characters without '|'; write one tenant's id",
        "21: backends.d.org_id: a tenant id is 1 to 150 visible ASCII characters without '|'; write one tenant's id",
    ]),
];

#[test]
fn every_faulty_file_gives_exactly_its_faults() {
    assert!(CASES.len() >= 40);
    for (name, text, wanted) in CASES {
        let found = faults_of(text);
        assert_eq!(found, *wanted, "{name}");
        for secret in ["hunter2", "hunter3", "271828182845"] {
            assert!(found.iter().all(|fault| !fault.contains(secret)), "{name} shows a secret");
        }
    }
}
