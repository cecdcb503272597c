//! What a reply tells the record: which client it belongs to, and what its call noted.

use rmcp::model::{CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock};

use super::*;
use crate::{call::QueryNotes, observe::ToolOutcome};

#[track_caller]
fn names(client: Option<&Client>, expected: [Option<&str>; 3]) {
    let client =
        client.map(|client| [Some(client.protocol_version()), client.name(), client.version()]);
    assert_eq!(client.unwrap_or_default(), expected);
}

const TEST: [Option<&str>; 3] = [Some("2025-11-25"), Some("test"), Some("1")];

#[tokio::test]
async fn all_replies_of_a_session_name_the_client_that_opened_it() {
    let worker = worker(&Listing::default());
    let anyone = caller(None);
    let opened = ask_to_open(&worker, &anyone, "2025-11-25").await;
    names(opened.client.as_ref(), TEST);
    let id = opened.session.unwrap();
    let bodies: [&[u8]; 5] = [
        PING,
        LIST,
        br#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":7}}"#,
        br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
        br#"{"jsonrpc":"2.0","id":1,"result":{}}"#,
    ];
    for body in bodies {
        names(say(&worker, &id, body, &anyone).await.client.as_ref(), TEST);
    }
    names(worker.open_stream(&id, &anyone, None).client.as_ref(), TEST);
    names(worker.close(&id, &anyone).client.as_ref(), TEST);
    names(say(&worker, &id, PING, &anyone).await.client.as_ref(), [None; 3]);
}

#[tokio::test]
async fn the_version_is_the_one_agreed_on() {
    let worker = worker(&Listing::default());
    let opened = ask_to_open(&worker, &caller(None), "1999-01-01").await;
    let version = ProtocolVersion::LATEST_WITH_INITIALIZE;
    names(opened.client.as_ref(), [Some(version.as_str()), Some("test"), Some("1")]);
}

#[test]
fn a_message_that_stands_for_itself_names_its_client_as_far_as_it_says() {
    let key = "io.modelcontextprotocol/clientInfo";
    let long = "é".repeat(1000);
    let cases = [
        (format!(r#"{{"{key}":{{"name":"n","version":"2"}}}}"#), Some("n".to_owned())),
        (format!(r#"{{"{key}":{{"name":"m","version":"2"}}}}"#), Some("m".to_owned())),
        (format!(r#"{{"{key}":{{"name":"{long}","version":"2"}}}}"#), Some("é".repeat(128))),
        ("{}".to_owned(), None),
    ];
    // The second time it may be remembered.
    for (meta, name) in cases.iter().chain(&cases) {
        let body =
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"_meta":{meta}}}}}"#);
        let message = wire::parse(body.as_bytes()).unwrap();
        let client = Client::stateless(&ProtocolVersion::LATEST, &message);
        let version = name.as_ref().map(|_| "2");
        let latest = ProtocolVersion::LATEST;
        names(Some(&client), [Some(latest.as_str()), name.as_deref(), version]);
    }
}

/// Has one tool, which notes what tools note.
struct Noting;

impl ServerHandler for Noting {
    async fn call_tool(
        &self,
        _request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let call = Call::of(&context).unwrap();
        call.note_query("up");
        call.note_outcome(ToolOutcome::Ok);
        Ok(CallToolResult::success(vec![ContentBlock::text("größe")]).into())
    }
}

#[tokio::test]
async fn a_call_has_the_size_of_its_answer_and_the_query_as_the_service_wants_it() {
    let body = br#"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"t"}}"#;
    for (query_notes, query) in [(QueryNotes::Off, None), (QueryNotes::Clear, Some("up"))] {
        let service = Service::new(Noting, Changes::default()).noting(query_notes);
        let worker = Worker::new(Arc::new(service), WorkerLimits::default(), Arc::default());
        let anyone = caller(None);
        let id = open(&worker, &anyone).await;
        let message = wire::parse(body).unwrap();
        let asker = Asker { accepts: JSON, caller: &anyone, trace: None };
        let replies = [
            say(&worker, &id, body, &anyone).await,
            worker.stateless(message, &ProtocolVersion::LATEST, asker).await,
        ];
        for reply in replies {
            let Body::Json(json) = &reply.body else { panic!("{reply:?}") };
            let around = r#"{"jsonrpc":"2.0","id":"x","result":}"#;
            let call = reply.call.as_ref().unwrap();
            assert_eq!(call.notes().bytes, u64::try_from(json.len() - around.len()).ok());
            assert_eq!(call.notes().query, query);
        }
    }
}
