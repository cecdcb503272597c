//! One real question, asked as any MCP client would: over HTTP, through the edge.

use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

use reqwest::{Client, RequestBuilder, Response, StatusCode, header, redirect};
use serde_json::{Value, json};
use tokio::time;
use url::Url;

use super::error::DemoError;

/// The revision in which the demo speaks. Spec: MCP 2026-07-28, Streamable HTTP.
const REVISION: &str = "2026-07-28";

/// The tool that is called.
pub(super) const TOOL: &str = "prometheus_query";

/// What is asked: how slow are the slow requests, per route? It needs the past to be there. Prometheus
/// promises no order without the sorting.
pub(super) const QUESTION: &str = "sort_desc(histogram_quantile(0.95, sum by (le, handler) \
                        (rate(http_request_duration_seconds_bucket{job=\"shop\"}[5m]))))";

/// How long the edge may take to accept connections.
const LISTEN_TIMEOUT: Duration = Duration::from_secs(15);

/// Limit of the call itself.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Most of the answer that is read, and of a body that is not an answer that is shown, in bytes.
const BODY_BYTES_MAX: usize = 1 << 20;
const EXCERPT_CHARS_MAX: usize = 300;

/// What was asked and what came back.
#[derive(Debug)]
pub(super) struct Exchange {
    url: Url,
    request: Value,
    status: StatusCode,
    took: Duration,
    result: Value,
}

/// Calls the tool at the MCP endpoint `url`.
pub(super) async fn ask(url: &Url) -> Result<Exchange, DemoError> {
    let client = client().map_err(DemoError::Call)?;
    let request = question();
    let begun = Instant::now();
    let response = send(&client, url, &request, begun + LISTEN_TIMEOUT).await?;
    let status = response.status();
    let body = read(response).await.map_err(DemoError::Call)?;
    let took = begun.elapsed();
    match result_in(&body) {
        Some(result) => Ok(Exchange { url: url.clone(), request, status, took, result }),
        None => Err(no_result(status, &body)),
    }
}

/// What everything is asked with. Each request goes over a connection of its own.
pub(super) fn client() -> reqwest::Result<Client> {
    let client = Client::builder().redirect(redirect::Policy::none()).no_proxy();
    client.pool_max_idle_per_host(0).timeout(CALL_TIMEOUT).build()
}

/// The answer that is none, with the beginning of its body.
pub(super) fn no_result(status: StatusCode, body: &str) -> DemoError {
    DemoError::NoResult { status, body: body.chars().take(EXCERPT_CHARS_MAX).collect() }
}

/// The JSON-RPC request. The stateless revision says in every request who asks.
fn question() -> Value {
    json!({
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {
            "name": TOOL,
            "arguments": {"query": QUESTION},
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": REVISION,
                "io.modelcontextprotocol/clientInfo":
                    {"name": "promgate-demo", "version": env!("CARGO_PKG_VERSION")},
                "io.modelcontextprotocol/clientCapabilities": {},
            },
        },
    })
}

/// The headers that mirror the body, in the order in which they are printed.
const MIRRORS: [(&str, &str); 3] =
    [("MCP-Protocol-Version", REVISION), ("Mcp-Method", "tools/call"), ("Mcp-Name", TOOL)];

fn post(client: &Client, url: &Url, request: &Value) -> RequestBuilder {
    let post = client
        .post(url.clone())
        .header(header::ACCEPT, "application/json, text/event-stream")
        .json(request);
    MIRRORS.into_iter().fold(post, |post, (name, value)| post.header(name, value))
}

/// Sends the request, again while nobody listens yet.
async fn send(
    client: &Client,
    url: &Url,
    request: &Value,
    deadline: Instant,
) -> Result<Response, DemoError> {
    loop {
        match post(client, url, request).send().await {
            Err(error) if error.is_connect() && Instant::now() < deadline => {
                time::sleep(Duration::from_millis(50)).await;
            }
            other => return other.map_err(DemoError::Call),
        }
    }
}

/// The body, up to a bound.
pub(super) async fn read(mut response: Response) -> reqwest::Result<String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        body.extend(chunk.iter().take(BODY_BYTES_MAX - body.len()));
        if body.len() == BODY_BYTES_MAX {
            break;
        }
    }
    Ok(String::from_utf8_lossy(&body).into_owned())
}

/// The tool's result in a body that is JSON or a stream of events, if it is a good one.
pub(super) fn result_in(body: &str) -> Option<Value> {
    let events = body.lines().filter_map(|line| line.strip_prefix("data:"));
    let messages = std::iter::once(body).chain(events);
    let parsed = messages.filter_map(|message| serde_json::from_str::<Value>(message).ok());
    let mut results = parsed.filter_map(|mut message| Some(message.get_mut("result")?.take()));
    results.next().filter(|result| result.get("isError") != Some(&Value::Bool(true)))
}

impl Exchange {
    /// Prints both readably.
    pub(super) fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(out, "One real tool call, asked of the shop's Prometheus through the edge:\n")?;
        writeln!(out, "  POST {}", self.url)?;
        for (name, value) in MIRRORS {
            writeln!(out, "  {name}: {value}")?;
        }
        writeln!(out)?;
        indented(out, &format!("{:#}", self.request))?;
        writeln!(out, "\n  {} after {} ms\n", self.status, self.took.as_millis())?;
        texts(&self.result).try_for_each(|text| indented(out, text))?;
        if let Some(structured) = self.result.get("structuredContent") {
            writeln!(out, "\n  structuredContent:")?;
            indented(out, &format!("{structured:#}"))?;
        }
        Ok(())
    }
}

/// The texts of a tool's result.
pub(super) fn texts(result: &Value) -> impl Iterator<Item = &str> {
    let content = result.get("content").and_then(Value::as_array).into_iter().flatten();
    content.filter_map(|content| content.get("text")?.as_str())
}

fn indented(out: &mut impl Write, text: &str) -> io::Result<()> {
    text.lines().try_for_each(|line| writeln!(out, "  {line}"))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead, BufReader, Read},
        net::TcpListener,
        thread::{self, JoinHandle},
    };

    use super::*;

    /// Answers one request with `answer`; yields the request's header, in lower case.
    fn endpoint(answer: &'static str) -> (Url, JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let served = thread::spawn(move || {
            let mut client = BufReader::new(listener.accept().unwrap().0);
            let mut header = String::new();
            while !header.ends_with("\r\n\r\n") {
                client.read_line(&mut header).unwrap();
            }
            header.make_ascii_lowercase();
            let length = header.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; length.unwrap().parse().unwrap()];
            client.read_exact(&mut body).unwrap();
            let length = answer.len();
            let status = "HTTP/1.1 200 OK\r\nconnection: close";
            write!(client.get_mut(), "{status}\r\ncontent-length: {length}\r\n\r\n{answer}")
                .unwrap();
            header
        });
        (Url::parse(&url).unwrap(), served)
    }

    #[tokio::test]
    async fn the_question_is_sent_in_the_stateless_form() {
        let (url, served) = endpoint(r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#);
        assert_eq!(ask(&url).await.unwrap().result, json!({"content": []}));
        let header = served.join().unwrap();
        for line in [
            "post /mcp http/1.1",
            "mcp-protocol-version: 2026-07-28",
            "mcp-method: tools/call",
            "mcp-name: prometheus_query",
            "accept: application/json, text/event-stream",
        ] {
            assert!(header.contains(line), "{line}: {header}");
        }
        assert!(!header.contains("mcp-session-id"), "{header}");
    }

    #[tokio::test]
    async fn an_endpoint_that_answers_something_else_is_quoted() {
        let (url, served) = endpoint("<html>not here</html>");
        let error = ask(&url).await.unwrap_err();
        assert!(error.to_string().contains("not here"), "{error}");
        served.join().unwrap();
    }

    #[test]
    fn the_result_is_found_in_json_and_in_a_stream() {
        let json = r#"{"jsonrpc":"2.0","id":1,"result":{"content":[]}}"#;
        let stream = format!(": hello\n\nevent: message\ndata: {json}\n\n");
        for body in [json, &stream] {
            assert_eq!(result_in(body), Some(json!({"content": []})), "{body}");
        }
    }

    #[test]
    fn an_error_is_not_a_result() {
        for body in [
            r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32602,"message":"no"}}"#,
            r#"{"jsonrpc":"2.0","id":1,"result":{"isError":true,"content":[]}}"#,
            "<html>",
            "",
        ] {
            assert_eq!(result_in(body), None, "{body}");
        }
    }

    #[test]
    fn the_exchange_is_printed_with_its_headers_and_its_answer() {
        let exchange = Exchange {
            url: Url::parse("http://127.0.0.1:8080/mcp").unwrap(),
            request: question(),
            status: StatusCode::OK,
            took: Duration::from_millis(7),
            result: json!({"content": [{"type": "text", "text": "a\nb"}], "structuredContent": {"n": 1}}),
        };
        let mut out = Vec::new();
        exchange.print(&mut out).unwrap();
        let out = String::from_utf8(out).unwrap();
        for part in [
            "POST http://127.0.0.1:8080/mcp",
            "Mcp-Name: prometheus_query",
            "  a\n  b\n",
            "200 OK after 7 ms",
            "\"n\": 1",
        ] {
            assert!(out.contains(part), "{part}: {out}");
        }
    }
}
