//! A client with a session, as clients of MCP up to revision 2025-11-25 have one.

use std::time::{Duration, Instant};

use reqwest::{
    Client, RequestBuilder, StatusCode,
    header::{self, HeaderValue},
};
use serde_json::{Value, json};
use tokio::time;
use url::Url;

use crate::demo::{
    call::{self, QUESTION, TOOL},
    error::DemoError,
};

/// The newest revision with sessions. Spec: MCP 2025-11-25, Session Management.
const REVISION: &str = "2025-11-25";

/// The header that names a session. Its value lets whoever holds it speak in the session.
const SESSION_ID: &str = "mcp-session-id";

/// How long a session is asked again when its owner was killed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Pause between two of these tries.
const PAUSE: Duration = Duration::from_millis(50);

/// An open session. Each request goes over a connection of its own, so each comes to another replica.
#[derive(Debug)]
pub(super) struct Session<'a> {
    client: &'a Client,
    url: &'a Url,
    // Marked as sensitive, so that it is never shown.
    id: HeaderValue,
    asked: u64,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) took: Duration,
    /// The id under which replicas record the request.
    pub(super) request_id: String,
    /// The first line of what the tool said, empty where none was called.
    pub(super) said: String,
}

/// An answer after some tries.
#[derive(Debug)]
pub(super) struct Survival {
    pub(super) answer: Answer,
    pub(super) tries: u32,
    /// From the kill to the end of the answer.
    pub(super) after: Duration,
}

impl<'a> Session<'a> {
    /// Opens a session at the MCP endpoint `url`.
    pub(super) async fn open(
        client: &'a Client,
        url: &'a Url,
    ) -> Result<(Self, Answer), DemoError> {
        let about = json!({"name": "promgate-demo", "version": env!("CARGO_PKG_VERSION")});
        let params = json!({"protocolVersion": REVISION, "capabilities": {}, "clientInfo": about});
        let request = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params});
        let (mut headers, result, answer) = send(post(client, url).json(&request)).await?;
        if result.is_none() {
            return Err(call::no_result(answer.status, &answer.said));
        }
        let mut id = headers.remove(SESSION_ID).ok_or(DemoError::NoSession)?;
        id.set_sensitive(true);
        Ok((Self { client, url, id, asked: 0 }, Answer { said: String::new(), ..answer }))
    }

    /// Tells that the session is open, as the protocol has it.
    pub(super) async fn begin(&self) -> Result<Answer, DemoError> {
        let request = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
        let (_, _, answer) = send(self.post().json(&request)).await?;
        if answer.status != StatusCode::ACCEPTED {
            return Err(call::no_result(answer.status, &answer.said));
        }
        Ok(answer)
    }

    /// Asks one question.
    pub(super) async fn ask(&mut self) -> Result<Answer, DemoError> {
        self.asked += 1;
        let params = json!({"name": TOOL, "arguments": {"query": QUESTION}});
        let request =
            json!({"jsonrpc": "2.0", "id": self.asked, "method": "tools/call", "params": params});
        let (_, result, answer) = send(self.post().json(&request)).await?;
        let Some(result) = result else {
            return Err(call::no_result(answer.status, &answer.said));
        };
        let said = call::texts(&result).next().and_then(|text| text.lines().next());
        Ok(Answer { said: said.unwrap_or_default().to_owned(), ..answer })
    }

    /// Asks until there is an answer. `killed` is when the owner died.
    pub(super) async fn ask_until_answered(
        &mut self,
        killed: Instant,
    ) -> Result<Survival, DemoError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let last = match self.ask().await {
                Ok(answer) => return Ok(Survival { answer, tries, after: killed.elapsed() }),
                Err(error) => error,
            };
            let over = killed.elapsed() > PATIENCE || is_final(&last);
            if over {
                let after_s = killed.elapsed().as_secs();
                return Err(DemoError::SessionLost { after_s, tries, last: Box::new(last) });
            }
            time::sleep(PAUSE).await;
        }
    }

    fn post(&self) -> RequestBuilder {
        let post = post(self.client, self.url).header(SESSION_ID, self.id.clone());
        post.header("mcp-protocol-version", REVISION)
    }
}

/// Whether a client would give up the session. Spec: MCP 2025-11-25, Session Management §4.
fn is_final(error: &DemoError) -> bool {
    matches!(error, DemoError::NoResult { status: StatusCode::NOT_FOUND, .. })
}

fn post(client: &Client, url: &Url) -> RequestBuilder {
    client.post(url.clone()).header(header::ACCEPT, "application/json, text/event-stream")
}

/// Sends a request; yields the answer's headers, its result if it is a good one, and the rest, which
/// says the whole body.
async fn send(
    request: RequestBuilder,
) -> Result<(header::HeaderMap, Option<Value>, Answer), DemoError> {
    let begun = Instant::now();
    let mut response = request.send().await.map_err(DemoError::Call)?;
    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
    let said = call::read(response).await.map_err(DemoError::Call)?;
    let result = call::result_in(&said);
    let request_id = headers.get("x-request-id").and_then(|id| id.to_str().ok());
    let request_id = request_id.unwrap_or_default().to_owned();
    Ok((headers, result, Answer { status, took: begun.elapsed(), request_id, said }))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Read as _, Write as _},
        net::TcpListener,
        thread::{self, JoinHandle},
    };

    use super::*;

    const OPENED: &str = "200 OK\r\nmcp-session-id: secret-id\r\nx-request-id: r1\r\n\r\n\
                          {\"jsonrpc\":\"2.0\",\"id\":0,\"result\":{}}";
    const ANSWERED: &str = "200 OK\r\nx-request-id: r2\r\n\r\n\
                            {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{\"content\":[{\"type\":\"text\",\"text\":\"a\\nb\"}]}}";
    const BUSY: &str = "503 Service Unavailable\r\n\r\nlater";
    const UNKNOWN: &str = "404 Not Found\r\n\r\nno such session";

    /// Gives these answers, one for each connection; yields the headers of the requests, in lower case.
    fn endpoint(answers: &'static [&'static str]) -> (Url, JoinHandle<Vec<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = Url::parse(&format!("http://{}/mcp", listener.local_addr().unwrap())).unwrap();
        let served = thread::spawn(move || {
            let serve = |answer: &&str| {
                let mut client = BufReader::new(listener.accept().unwrap().0);
                let mut header = String::new();
                while !header.ends_with("\r\n\r\n") {
                    client.read_line(&mut header).unwrap();
                }
                header.make_ascii_lowercase();
                let length = header.lines().find_map(|line| line.strip_prefix("content-length: "));
                client.read_exact(&mut vec![0; length.unwrap().parse().unwrap()]).unwrap();
                let (head, body) = answer.split_once("\r\n\r\n").unwrap();
                let length = body.len();
                write!(
                    client.get_mut(),
                    "HTTP/1.1 {head}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
                )
                .unwrap();
                header
            };
            answers.iter().map(serve).collect()
        });
        (url, served)
    }

    #[tokio::test]
    async fn the_session_is_named_in_every_request_and_shown_nowhere() {
        let (url, served) = endpoint(&[OPENED, ANSWERED]);
        let client = call::client().unwrap();
        let (mut session, opened) = Session::open(&client, &url).await.unwrap();
        assert_eq!((opened.request_id.as_str(), opened.said.as_str()), ("r1", ""));
        let answer = session.ask().await.unwrap();
        assert_eq!((answer.request_id.as_str(), answer.said.as_str()), ("r2", "a"));
        assert!(!format!("{session:?}{opened:?}{answer:?}").contains("secret-id"));
        let headers = served.join().unwrap();
        assert!(!headers[0].contains("mcp-session-id"));
        assert!(headers[1].contains("mcp-session-id: secret-id\r\n"));
        assert!(headers[1].contains("mcp-protocol-version: 2025-11-25\r\n"));
    }

    #[tokio::test]
    async fn what_cannot_be_answered_yet_is_asked_again() {
        let (url, served) = endpoint(&[OPENED, BUSY, BUSY, ANSWERED]);
        let client = call::client().unwrap();
        let (mut session, _) = Session::open(&client, &url).await.unwrap();
        let survival = session.ask_until_answered(Instant::now()).await.unwrap();
        assert_eq!((survival.tries, survival.answer.said.as_str()), (3, "a"));
        assert!(survival.after >= PAUSE * 2);
        served.join().unwrap();
    }

    #[tokio::test]
    async fn a_session_that_nobody_knows_is_lost_at_once() {
        let (url, served) = endpoint(&[OPENED, UNKNOWN]);
        let client = call::client().unwrap();
        let (mut session, _) = Session::open(&client, &url).await.unwrap();
        let error = session.ask_until_answered(Instant::now()).await.unwrap_err();
        assert!(matches!(error, DemoError::SessionLost { tries: 1, .. }), "{error}");
        served.join().unwrap();
    }

    #[tokio::test]
    async fn an_endpoint_without_sessions_is_an_error() {
        let (url, served) = endpoint(&[ANSWERED]);
        let client = call::client().unwrap();
        let error = Session::open(&client, &url).await.unwrap_err();
        assert!(matches!(error, DemoError::NoSession), "{error}");
        served.join().unwrap();
    }
}
