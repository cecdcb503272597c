//! The list itself.

use super::{Kind, fields};

fields! {
    Version = "v", "promgate.schema", "promgate.schema", Number,
        "Version of this schema; 1.";
    Event = "event", "event.action", "event_name", Word,
        "`stream_open` and `stream_end` of a long stream; left out for a request.";
    Time = "time", "@timestamp", "time_unix_nano", Time,
        "When the request ended, or the stream opened.";
    RequestId = "request_id", "http.request.id", "http.request.id", Client,
        "The request's id, as answered in `X-Request-Id`; the same at every replica.";
    TraceId = "trace_id", "trace.id", "trace_id", Text,
        "W3C trace id, 32 hexadecimal digits.";
    Replica = "replica", "service.node.name", "service.instance.id", Text,
        "Name of the replica that writes the record.";
    Listener = "listener", "promgate.listener", "promgate.listener", Word,
        "Which port took the request: `clients` or `replicas`.";
    Method = "method", "http.request.method", "http.request.method", Client,
        "HTTP method.";
    Path = "path", "url.path", "url.path", Client,
        "Path of the request, without query and fragment; `(not a path)` where the target is none.";
    HttpVersion = "http_version", "http.version", "network.protocol.version", Word,
        "Version of HTTP that the client spoke.";
    Status = "status", "http.response.status_code", "http.response.status_code", Number,
        "HTTP status answered; left out when no answer was begun.";
    DurationMs = "duration_ms", "event.duration", "promgate.duration", Milliseconds,
        "From the request's header to the last byte of its answer. ECS has nanoseconds, OpenTelemetry seconds.";
    BytesIn = "bytes_in", "http.request.body.bytes", "http.request.body.size", Number,
        "Bytes of the request's body that were read.";
    BytesOut = "bytes_out", "http.response.body.bytes", "http.response.body.size", Number,
        "Bytes of the answer's body that were written.";
    Peer = "peer", "source.ip", "network.peer.address", Address,
        "Address and port of the other end of the connection. ECS and OpenTelemetry have the port beside it, as `source.port` and `network.peer.port`.";
    Client = "client", "client.ip", "client.address", Address,
        "Address of the client, as far as trusted proxies tell it.";
    TlsVersion = "tls_version", "tls.version", "tls.protocol.version", Text,
        "Version of TLS, where the connection has it.";
    TlsCipher = "tls_cipher", "tls.cipher", "tls.cipher", Text,
        "Cipher suite of TLS.";
    TlsClient = "tls_client", "tls.client.hash.sha256", "tls.client.hash.sha256", Text,
        "SHA-256 of the certificate that the other end showed, in hexadecimal digits.";
    UserAgent = "user_agent", "user_agent.original", "user_agent.original", Client,
        "Value of `User-Agent`.";
    Era = "era", "promgate.era", "promgate.era", Word,
        "MCP generation of the request: `session` or `stateless`.";
    ProtocolVersion = "protocol_version", "promgate.mcp.protocol_version", "mcp.protocol.version", Client,
        "MCP protocol version.";
    ClientName = "client_name", "promgate.mcp.client.name", "mcp.client.name", Client,
        "Name that the MCP client gave itself.";
    ClientVersion = "client_version", "promgate.mcp.client.version", "mcp.client.version", Client,
        "Version that the MCP client gave itself.";
    RpcMethod = "rpc_method", "promgate.rpc.method", "mcp.method.name", Client,
        "JSON-RPC method.";
    RpcId = "rpc_id", "promgate.rpc.id", "jsonrpc.request.id", Client,
        "Id of the JSON-RPC request, as text.";
    Tool = "tool", "promgate.tool", "gen_ai.tool.name", Client,
        "Tool that was called.";
    Prompt = "prompt", "promgate.prompt", "gen_ai.prompt.name", Client,
        "Prompt that was asked for.";
    Resource = "resource", "promgate.resource", "mcp.resource.uri", Client,
        "Address of the resource that was asked for, without query and fragment; `(not shown)` where what is left holds an `@`, since a password may stand before it.";
    Session = "session", "promgate.session", "promgate.session", Text,
        "Pseudonym of the session: the same on all its records at all replicas. Needs an audit key.";
    Auth = "auth", "promgate.auth", "promgate.auth", Word,
        "What became of authentication: `off`, `anonymous`, `verified`, `relayed` (another replica verified it), `missing`, `refused`, `uncheckable`.";
    Issuer = "issuer", "promgate.user.issuer", "promgate.user.issuer", Text,
        "Issuer of the caller's token, as `identity.issuer` says.";
    Subject = "subject", "user.id", "user.id", Text,
        "Subject of the caller's token, as `identity.subject` says.";
    ClientId = "client_id", "promgate.user.client_id", "promgate.user.client_id", Text,
        "Client that the token was given to, as `identity.client_id` says.";
    Groups = "groups", "user.roles", "user.roles", List,
        "Groups of the caller, as `identity.groups` says.";
    Rule = "rule", "rule.name", "promgate.rule", Text,
        "The rule that let the caller use the tool on this backend. Of a refusal: the place of the condition that does not hold, or the rule that would allow it but for scopes.";
    Limit = "limit", "promgate.limit", "promgate.limit", Word,
        "The configured bound that was reached.";
    Backend = "backend", "promgate.backend.name", "promgate.backend.name", Text,
        "Configured name of the backend that served the call.";
    Tenant = "tenant", "promgate.backend.tenant", "promgate.backend.tenant", Text,
        "Tenant of the backend that was asked.";
    UpstreamStatus = "upstream_status", "promgate.backend.status", "promgate.backend.status", Number,
        "HTTP status of the backend's last answer.";
    UpstreamMs = "upstream_ms", "promgate.backend.duration_ms", "promgate.backend.duration", Milliseconds,
        "Time that the backend took, all requests of the call together.";
    Retries = "retries", "promgate.backend.retries", "promgate.backend.retries", Number,
        "How often the backend was asked again.";
    QueryFingerprint = "query_fingerprint", "promgate.query.fingerprint", "promgate.query.fingerprint", Text,
        "Hash of the PromQL in a common form: the same for queries that differ in values, spaces and the order of labels alone.";
    QueryForm = "query_form", "promgate.query.form", "promgate.query.form", Word,
        "How the PromQL was read: `parsed`, or `lexical` where it is of another dialect.";
    QueryMetrics = "query_metrics", "promgate.query.metrics", "promgate.query.metrics", ClientList,
        "Metrics that the PromQL names; in another dialect those alone that it selects from, as in `a{…}` or `a[5m]`.";
    QueryFunctions = "query_functions", "promgate.query.functions", "promgate.query.functions", ClientList,
        "Functions and aggregations of the PromQL.";
    QueryLabels = "query_labels", "promgate.query.labels", "promgate.query.labels", ClientList,
        "Labels that the PromQL matches, groups by or joins on; never their values.";
    Query = "query", "promgate.query.text", "db.query.text", Client,
        "The PromQL, as `queries` says: with its label values masked, or clear.";
    RangeMs = "range_ms", "promgate.query.range_ms", "promgate.query.range", Milliseconds,
        "Length of the time asked for.";
    StepMs = "step_ms", "promgate.query.step_ms", "promgate.query.step", Milliseconds,
        "Step of a range query.";
    Rows = "rows", "promgate.answer.rows", "promgate.answer.rows", Number,
        "Series or names in the tool's answer.";
    RowsTotal = "rows_total", "promgate.answer.rows_total", "promgate.answer.rows_total", Number,
        "Series or names that there are.";
    AnswerBytes = "answer_bytes", "promgate.answer.bytes", "promgate.answer.bytes", Number,
        "Bytes of the tool's answer.";
    Truncated = "truncated", "promgate.answer.truncated", "promgate.answer.truncated", Word,
        "Why the tool's answer does not hold all that there is: `size`, `limit` or `page`.";
    Arguments = "arguments", "promgate.arguments", "promgate.arguments", Object,
        "Arguments of the tool that `arguments` names, each as it says.";
    Via = "via", "promgate.via", "promgate.via", Text,
        "Replica that passed the request on to this one.";
    Worker = "worker", "promgate.worker", "promgate.worker", Number,
        "Number of the worker here that served the request.";
    Owner = "owner", "promgate.owner", "promgate.owner", Text,
        "Replica that owns the session, and the number of its worker.";
    Hop = "hop", "promgate.hop", "promgate.hop", Number,
        "How many replicas the request passed through before this one; beside `owner`.";
    Stream = "stream", "promgate.stream", "promgate.stream", Word,
        "Kind of a long stream: `call`, `session`, `listen`, or `relayed` from another replica.";
    Outcome = "outcome", "promgate.outcome", "promgate.outcome", Word,
        "How the request ended; `ok` is the good one. ECS has `event.outcome` beside it.";
    Reason = "reason", "event.reason", "error.type", Word,
        "Why it was refused, in one word; of a refused token, what was wrong with it.";
    Headers = "headers", "promgate.headers", "promgate.headers", Object,
        "Request headers that `included_headers` and `redacted_headers` name.";
}
