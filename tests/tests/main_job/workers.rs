//! What a worker does when a tool, a client or the number of them misbehaves.

use std::{
    collections::HashSet,
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use e2e::{
    http::{Connection, Event, once},
    mcp::{Client, Reply},
    server::Server,
    settings::Settings,
};
use serde_json::{Value, json};

fn shared() -> &'static Server {
    Server::shared_fixture()
}

/// Waits until the sleeper called `label` has met its fate.
fn await_fate(client: &Client, label: &str, fate: &str) {
    let met = client.tool("await_sleep", json!({ "label": label, "fate": fate }));
    assert_eq!(met["content"][0]["text"], "it is so");
}

fn sleep_request(client: &Client, id: &Value, label: &str, ms: u64) -> e2e::http::Request {
    let params = json!({ "name": "sleep_ms", "arguments": { "label": label, "ms": ms } });
    client.request_with_id(id, "tools/call", params)
}

#[test]
fn a_panicking_tool_is_answered_and_harms_no_other_call() {
    let server = Server::fixture(&Settings::default());
    for client in Client::of_both_eras(server.mcp) {
        let reply = client.call_tool("panic", json!({}));
        assert_eq!(reply.code(), Some(-32603), "{}", reply.http.text());
        assert!(!reply.http.text().contains("asked to panic"), "the panic's text stays inside");
        assert_eq!(client.call_tool("counter", json!({})).status(), 200);
    }
    assert!(server.metric("promgate_panics_total") >= 2.0);
}

#[test]
fn a_call_past_its_deadline_is_answered_and_ended() {
    let server = Server::fixture(&Settings { call_timeout_ms: 400, ..Settings::default() });
    for (client, label) in Client::of_both_eras(server.mcp).iter().zip(["a", "b"]) {
        let begun = Instant::now();
        let reply = client.call_tool("sleep_ms", json!({ "label": label, "ms": 60_000 }));
        assert_eq!(reply.code(), Some(-32603), "{}", reply.http.text());
        assert!(begun.elapsed() < Duration::from_secs(5));
        await_fate(client, label, "dropped");
    }
}

#[test]
fn a_call_that_nobody_reads_is_ended_at_its_deadline_too() {
    let settings = Settings { call_timeout_ms: 1500, stream_after_ms: 100, ..Settings::default() };
    let server = Server::fixture(&settings);
    let watcher = Client::stateless(server.mcp);
    for (era, client) in Client::of_both_eras(server.mcp).iter().enumerate() {
        let label = format!("unread-{era}");
        let mut params =
            json!({ "name": "sleep_ms", "arguments": { "label": label, "ms": 60_000 } });
        params["_meta"]["progressToken"] = json!("p");
        let mut stream = client.stream(&client.request("tools/call", params));
        await_fate(&watcher, &label, "dropped");
        let messages = stream.rest();
        assert!(messages.iter().all(|message| message["result"].is_null()), "{messages:?}");
    }
}

#[test]
fn the_idle_timer_spares_a_session_with_a_call_or_a_stream() {
    let settings = Settings { workers: 1, session_idle_ms: 500, ..Settings::default() };
    let server = Server::fixture(&settings);
    let busy = Client::session(server.mcp, "2025-11-25");
    let listening = Client::session(server.mcp, "2025-11-25");
    let idle = Client::session(server.mcp, "2025-11-25");
    let mut stream = listening.listen();
    assert!(stream.event().unwrap().is_some());
    thread::scope(|scope| {
        let call = scope.spawn(|| busy.tool("sleep_ms", json!({ "label": "x", "ms": 4000 })));
        server.wait_for_metric(r#"promgate_sessions_open{worker="0"}"#, 2.0);
        assert_eq!(idle.call("ping", json!({})).status(), 404);
        assert_eq!(listening.call("ping", json!({})).status(), 200);
        assert_eq!(call.join().unwrap()["content"][0]["text"], "slept 4000 ms");
    });
}

#[test]
fn a_silent_call_becomes_a_stream_that_is_kept_alive() {
    let settings = Settings { stream_after_ms: 200, keep_alive_ms: 200, ..Settings::default() };
    let server = Server::fixture(&settings);
    for client in Client::of_both_eras(server.mcp) {
        let mut stream = client.stream(&sleep_request(&client, &json!(1), "x", 1500));
        assert_eq!(stream.event().unwrap(), Some(Event::Comment));
        let messages = stream.rest();
        assert_eq!(messages.len(), 1);
        assert_eq!(messages[0]["result"]["content"][0]["text"], "slept 1500 ms");
    }
}

#[test]
fn a_reader_that_stalls_holds_up_only_its_own_stream() {
    let server = Server::fixture(&Settings { workers: 1, ..Settings::default() });
    for client in Client::of_both_eras(server.mcp) {
        let mut params = json!({ "name": "flood", "arguments": { "count": 100_000 } });
        params["_meta"]["progressToken"] = json!("p");
        let mut stalled = client.stream(&client.request("tools/call", params));
        assert!(stalled.event().unwrap().is_some());
        let begun = Instant::now();
        for _call in 0..20 {
            assert_eq!(client.call_tool("counter", json!({})).status(), 200);
        }
        assert!(begun.elapsed() < Duration::from_secs(3), "took {:?}", begun.elapsed());
    }
    assert!(server.resident_bytes() < 200 << 20, "what nobody reads is not kept");
}

#[test]
fn a_duplicate_id_in_flight_is_refused_and_the_first_call_goes_on() {
    let client = Client::session(shared().mcp, "2025-11-25");
    thread::scope(|scope| {
        let first = sleep_request(&client, &json!(77), "duplicate", 1500);
        let first = scope.spawn(move || Reply::of(once(shared().mcp, &first)));
        await_fate(&client, "duplicate", "running");
        let second = sleep_request(&client, &json!(77), "duplicate-2", 0);
        let second = Reply::of(once(shared().mcp, &second));
        assert_eq!((second.status(), second.code()), (400, Some(-32600)));
        let text = first.join().unwrap().result()["content"][0]["text"].clone();
        assert_eq!(text, "slept 1500 ms");
    });
    let again = sleep_request(&client, &json!(77), "duplicate-3", 0);
    assert_eq!(once(shared().mcp, &again).head.status, 200, "the id is free again");
}

#[test]
fn more_sessions_than_the_bound_are_turned_away() {
    let settings = Settings { workers: 1, sessions_max: 3, ..Settings::default() };
    let server = Server::fixture(&settings);
    let sessions: Vec<Client> = (0..3).map(|_| Client::session(server.mcp, "2025-11-25")).collect();
    let request = sessions[0].initialize(&json!({})).without("Mcp-Session-Id");
    let refused = once(server.mcp, &request);
    assert_eq!(refused.head.status, 503);
    let retry_after = refused.head.header("Retry-After").unwrap();
    assert!(retry_after.parse::<u32>().unwrap() >= 1);
    assert_eq!(sessions[2].call("ping", json!({})).status(), 200, "open sessions are unharmed");
    assert_eq!(sessions[1].delete().status(), 204);
    assert_eq!(once(server.mcp, &request).head.status, 200, "there is room again");
}

#[test]
fn more_calls_in_a_session_than_the_bound_are_turned_away() {
    let settings = Settings { session_calls_max: 2, ..Settings::default() };
    let server = Server::fixture(&settings);
    let client = Client::session(server.mcp, "2025-11-25");
    let watcher = Client::stateless(server.mcp);
    let mut connections = Vec::new();
    for label in ["a", "b"] {
        let mut connection = Connection::open(server.mcp);
        connection.send(sleep_request(&client, &json!(label), label, 20_000).bytes());
        connections.push(connection);
        await_fate(&watcher, label, "running");
    }
    let reply = client.call_tool("counter", json!({}));
    assert_eq!(reply.status(), 429);
    assert!(reply.http.head.header("Retry-After").is_some());
}

#[test]
fn a_cancelled_call_is_dropped_and_its_answer_ends() {
    let client = Client::session(shared().mcp, "2025-11-25");
    thread::scope(|scope| {
        let request = sleep_request(&client, &json!("c"), "cancelled", 60_000);
        let call = scope.spawn(move || Reply::of(once(shared().mcp, &request)));
        await_fate(&client, "cancelled", "running");
        let accepted = client.notify("notifications/cancelled", json!({ "requestId": "c" }));
        assert_eq!(accepted.status(), 202);
        await_fate(&client, "cancelled", "dropped");
        let reply = call.join().unwrap();
        assert_eq!(reply.messages, Vec::<Value>::new(), "a cancelled call has no answer");
    });
}

#[test]
fn a_call_that_became_a_stream_can_be_cancelled_although_nobody_reads() {
    let server = Server::fixture(&Settings { stream_after_ms: 100, ..Settings::default() });
    let client = Client::session(server.mcp, "2025-11-25");
    let request = sleep_request(&client, &json!("c"), "streamed", 60_000);
    let mut stream = client.stream(&request);
    assert_eq!(client.notify("notifications/cancelled", json!({ "requestId": "c" })).status(), 202);
    await_fate(&client, "streamed", "dropped");
    assert_eq!(stream.rest(), Vec::<Value>::new());
}

#[test]
fn a_client_that_leaves_takes_its_call_along() {
    let server = Server::fixture(&Settings { stream_after_ms: 300, ..Settings::default() });
    for (era, client) in Client::of_both_eras(server.mcp).iter().enumerate() {
        // Before the answer is begun.
        let label = format!("early-{era}");
        let mut connection = Connection::open(server.mcp);
        connection.send(sleep_request(client, &json!(1), &label, 60_000).bytes());
        await_fate(client, &label, "running");
        drop(connection);
        await_fate(client, &label, "dropped");
        // After it became a stream.
        let label = format!("late-{era}");
        let stream = client.stream(&sleep_request(client, &json!(1), &label, 60_000));
        await_fate(client, &label, "running");
        drop(stream);
        await_fate(client, &label, "dropped");
    }
}

#[test]
fn an_answer_to_a_question_finds_the_call_that_asked() {
    let client = Client::session_with(shared().mcp, "2025-11-25", &json!({ "elicitation": {} }));
    let ask = |question: &str| {
        let params = json!({ "name": "ask_slow", "arguments": { "question": question } });
        client.stream(&client.request("tools/call", params))
    };
    let (mut red, mut blue) = (ask("red"), ask("blue"));
    let (red_asked, blue_asked) = (red.message(), blue.message());
    assert_eq!(red_asked["method"], "elicitation/create");
    assert_eq!(red_asked["params"]["message"], "red");
    for (asked, word) in [(&blue_asked, "sky"), (&red_asked, "rose")] {
        let answer = json!({ "action": "accept", "content": { "word": word } });
        assert_eq!(client.respond(&asked["id"], answer).status(), 202);
    }
    assert_eq!(red.rest()[0]["result"]["content"][0]["text"], "red: rose");
    assert_eq!(blue.rest()[0]["result"]["content"][0]["text"], "blue: sky");
    let nobody_asked = client.respond(&json!(99_999), json!({ "action": "accept" }));
    assert_eq!(nobody_asked.status(), 202);
}

#[test]
fn a_session_cannot_answer_the_question_of_another() {
    let capabilities = json!({ "elicitation": {} });
    let asked = Client::session_with(shared().mcp, "2025-11-25", &capabilities);
    let stranger = Client::session_with(shared().mcp, "2025-11-25", &capabilities);
    let params = json!({ "name": "ask_slow", "arguments": { "question": "mine" } });
    let mut stream = asked.stream(&asked.request("tools/call", params));
    let id = stream.message()["id"].clone();
    let answer = |word: &str| json!({ "action": "accept", "content": { "word": word } });
    stranger.respond(&id, answer("theirs"));
    assert_eq!(asked.respond(&id, answer("ours")).status(), 202);
    assert_eq!(stream.rest()[0]["result"]["content"][0]["text"], "mine: ours");
}

#[test]
fn every_session_stream_hears_of_a_changed_list() {
    let server = Server::fixture(&Settings { workers: 4, ..Settings::default() });
    let sessions: Vec<Client> =
        (0..12).map(|_| Client::session(server.mcp, "2025-11-25")).collect();
    let mut streams: Vec<_> = sessions.iter().map(Client::listen).collect();
    for stream in &mut streams {
        assert!(stream.event().unwrap().is_some());
    }
    assert_eq!(Client::stateless(server.mcp).call_tool("toggle_tools", json!({})).status(), 200);
    for stream in &mut streams {
        assert_eq!(stream.message()["method"], "notifications/tools/list_changed");
    }
}

#[test]
fn forgiving_accept_headers_are_understood() {
    for client in Client::of_both_eras(shared().mcp) {
        let params = json!({ "name": "counter", "arguments": {} });
        for accept in [
            "*/*",
            "application/*, text/*",
            "text/event-stream, application/json",
            "application/json;q=0.9, text/event-stream; charset=utf-8",
            "application/json",
            "text/event-stream",
        ] {
            let request = client.request("tools/call", params.clone()).with("Accept", accept);
            let reply = Reply::of(once(shared().mcp, &request));
            assert_eq!(reply.status(), 200, "{accept}: {}", reply.http.text());
            assert!(reply.result()["content"].is_array(), "{accept}");
        }
        let silent = client.request("tools/call", params).without("Accept");
        assert_eq!(once(shared().mcp, &silent).head.status, 200, "no Accept at all");
    }
}

#[test]
fn a_body_that_is_no_message_is_refused_in_json() {
    let deep = "[".repeat(10_000).into_bytes();
    let cases: [(&str, Vec<u8>, &[i64]); 7] = [
        ("malformed", b"{\"jsonrpc\":".to_vec(), &[-32700]),
        ("empty", Vec::new(), &[-32700, -32600]),
        (
            "invalid UTF-8",
            b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}".to_vec(),
            &[-32700],
        ),
        ("only opening brackets", deep, &[-32700, -32600]),
        ("a batch", br#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#.to_vec(), &[-32600]),
        ("a number", b"7".to_vec(), &[-32700, -32600]),
        ("not 2.0", br#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#.to_vec(), &[-32700, -32600]),
    ];
    for client in Client::of_both_eras(shared().mcp) {
        for (what, body, codes) in &cases {
            let request = client.request("tools/list", json!({})).body(body.clone());
            let reply = Reply::of(once(shared().mcp, &request));
            assert_eq!(reply.status(), 400, "{what}: {}", reply.http.text());
            let code = reply.code().unwrap_or_default();
            assert!(codes.contains(&code), "{what}: {code}");
        }
    }
}

#[test]
fn json_nested_ten_thousand_deep_is_refused_where_it_is_read_and_harms_nobody() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    for client in Client::of_both_eras(shared().mcp) {
        let params = json!({ "name": "counter", "arguments": { "a": "HERE" } });
        let whole = String::from_utf8(client.request("tools/call", params).bytes()).unwrap();
        let call = whole.split_once("\r\n\r\n").unwrap().1;
        let arguments = call.replace("\"HERE\"", &deep);
        let id = call.replacen("\"id\":", &format!("\"id\":{deep},\"x\":"), 1);
        let elsewhere = call.replacen('{', &format!("{{\"x\":{deep},"), 1);
        let send = |body: String| {
            let request = client.request("tools/call", json!({ "name": "counter" })).body(body);
            Reply::of(once(shared().mcp, &request))
        };
        for body in [arguments, id, deep.clone()] {
            let reply = send(body);
            let code = reply.code().unwrap_or_default();
            assert!([-32700, -32600, -32602].contains(&code), "{}", reply.http.text());
        }
        // What nobody reads may be as deep as it likes.
        assert!([200, 400].contains(&send(elsewhere).status()));
    }
    assert_eq!(Client::stateless(shared().mcp).call_tool("counter", json!({})).status(), 200);
}

/// The ids are minted by the edge; each alone decides which worker owns its session.
#[test]
fn a_thousand_sessions_are_spread_evenly_and_each_is_served_by_its_owner() {
    let server = Server::fixture(&Settings { workers: 4, ..Settings::default() });
    let open = |count: usize| -> Vec<Client> {
        (0..count).map(|_| Client::session(server.mcp, "2025-11-25").unconnected()).collect()
    };
    let sessions: Vec<Client> = thread::scope(|scope| {
        let opening: Vec<_> = (0..4).map(|_| scope.spawn(|| open(250))).collect();
        opening.into_iter().flat_map(|opened| opened.join().unwrap()).collect()
    });
    let ids: HashSet<&str> = sessions.iter().filter_map(Client::session_id).collect();
    assert_eq!(ids.len(), 1000, "every id is new");
    for worker in 0..4 {
        let series = format!("promgate_sessions_open{{worker=\"{worker}\"}}");
        let share = server.metric(&series);
        assert!((share - 250.0).abs() <= 37.5, "worker {worker} has {share} of 1000 sessions");
    }
    // A worker that does not own a session answers 404; none may.
    let (wrong, heard) = mpsc::channel();
    thread::scope(|scope| {
        for part in sessions.chunks(250) {
            let wrong = wrong.clone();
            scope.spawn(move || {
                for session in part {
                    let statuses =
                        [session.call("ping", json!({})), session.call_tool("counter", json!({}))];
                    let bad = statuses.iter().map(Reply::status).find(|status| *status != 200);
                    if let Some(status) = bad {
                        wrong.send(status).unwrap();
                    }
                    session.disconnect();
                }
            });
        }
    });
    drop(wrong);
    assert_eq!(heard.iter().collect::<Vec<u16>>(), Vec::<u16>::new());
}

#[test]
fn an_array_is_read_neither_as_a_message_nor_as_parameters() {
    let positional = json!(["2.0", 7, "ping", null, null, null]);
    for client in Client::of_both_eras(shared().mcp) {
        let reply = client.send(&client.post(&positional).header("Mcp-Method", "ping"));
        assert_eq!((reply.status(), reply.code()), (400, Some(-32600)), "{}", reply.http.text());
        let message = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/list", "params": [{}] });
        let reply = client.send(&client.post(&message).header("Mcp-Method", "tools/list"));
        assert_eq!((reply.status(), reply.code()), (400, Some(-32600)), "{}", reply.http.text());
    }
    let initialize = json!(["2025-11-25", {}, { "name": "e2e", "version": "1" }]);
    let message =
        json!({ "jsonrpc": "2.0", "id": 7, "method": "initialize", "params": initialize });
    let client = Client::stateless(shared().mcp);
    let reply = client.send(&client.post(&message).without("MCP-Protocol-Version"));
    assert_eq!((reply.status(), reply.code()), (400, Some(-32600)), "{}", reply.http.text());
}

#[test]
fn metadata_that_is_an_array_is_none() {
    let client = Client::stateless(shared().mcp);
    let meta = json!(["2026-07-28", {}]);
    let params = json!({ "_meta": meta });
    let message = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/list", "params": params });
    let reply = client.send(&client.post(&message).header("Mcp-Method", "tools/list"));
    assert_eq!((reply.status(), reply.code()), (400, Some(-32602)), "{}", reply.http.text());
    let session = Client::session(shared().mcp, "2025-11-25");
    let reply = session.call("ping", params);
    assert_eq!((reply.status(), reply.result()), (200, json!({})));
}

#[test]
fn a_cancellation_whose_parameters_are_no_object_cancels_nothing() {
    let client = Client::session(shared().mcp, "2025-11-25");
    thread::scope(|scope| {
        let request = sleep_request(&client, &json!("c"), "not-cancelled", 1000);
        let call = scope.spawn(move || Reply::of(once(shared().mcp, &request)));
        await_fate(&client, "not-cancelled", "running");
        for params in [json!(["c"]), json!("c"), json!(null), json!([{ "requestId": "c" }])] {
            assert_eq!(client.notify("notifications/cancelled", params).status(), 202);
        }
        let text = call.join().unwrap().result()["content"][0]["text"].clone();
        assert_eq!(text, "slept 1000 ms");
    });
}

#[test]
fn an_id_can_be_used_again_right_after_its_call_was_cancelled() {
    let client = Client::session(shared().mcp, "2025-11-25");
    for round in 0..5 {
        thread::scope(|scope| {
            let label = format!("reused-{round}");
            let request = sleep_request(&client, &json!("again"), &label, 60_000);
            let call = scope.spawn(move || Reply::of(once(shared().mcp, &request)));
            await_fate(&client, &label, "running");
            let cancelled = json!({ "requestId": "again" });
            assert_eq!(client.notify("notifications/cancelled", cancelled).status(), 202);
            // At once, although the first may still be on its way out; the next round cancels it.
            let next = sleep_request(&client, &json!("again"), &format!("next-{round}"), 60_000);
            let next = scope.spawn(move || Reply::of(once(shared().mcp, &next)));
            await_fate(&client, &format!("next-{round}"), "running");
            let cancelled = json!({ "requestId": "again" });
            assert_eq!(client.notify("notifications/cancelled", cancelled).status(), 202);
            await_fate(&client, &format!("next-{round}"), "dropped");
            assert_eq!(call.join().unwrap().messages, Vec::<Value>::new());
            assert_eq!(next.join().unwrap().messages, Vec::<Value>::new());
        });
    }
}

/// The messages of an answer to a client that reads events only.
fn as_events(client: &Client, request: &e2e::http::Request) -> Vec<Value> {
    let reply = client.send(&request.clone().with("Accept", "text/event-stream"));
    assert_eq!(reply.status(), 200, "{}", reply.http.text());
    let text = reply.http.text();
    assert!(reply.http.head.says("content-type", "text/event-stream"), "{text}");
    reply.messages
}

#[test]
fn a_client_that_reads_events_only_gets_every_answer_of_status_200_as_an_event() {
    for client in Client::of_both_eras(shared().mcp) {
        let list = client.request("tools/list", json!({}));
        // The first may make the list, the others get the kept one.
        for _request in 0..2 {
            assert!(as_events(&client, &list)[0]["result"]["tools"].is_array());
        }
        let failing = [
            ("tools/call", json!({ "name": "no_such_tool", "arguments": {} })),
            ("tools/call", json!({ "name": "counter", "arguments": 7 })),
            ("prompts/get", json!({ "name": 7 })),
            ("resources/read", json!({ "uri": "nope://nowhere" })),
            ("tools/call", json!({ "name": "panic", "arguments": {} })),
        ];
        for (method, params) in failing {
            let mut request = client.request(method, params.clone());
            if params["name"] == 7 {
                request = request.with("Mcp-Name", "7");
            }
            let messages = as_events(&client, &request);
            assert!(messages[0]["error"]["code"].is_i64(), "{method} {params}: {messages:?}");
        }
    }
    let client = Client::session(shared().mcp, "2025-11-25");
    let ping = as_events(&client, &client.request("ping", json!({})));
    assert_eq!(ping[0]["result"], json!({}));
    let unknown = as_events(&client, &client.request("nope/nope", json!({})));
    assert_eq!(unknown[0]["error"]["code"], -32601);
    let opening = client.initialize(&json!({})).without("Mcp-Session-Id");
    assert!(as_events(&client, &opening)[0]["result"]["serverInfo"].is_object());
}
