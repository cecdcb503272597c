//! Backends whose answers are full of secrets: ours, which they repeat, and their own.

use std::{
    io::{self, Write as _},
    net::TcpStream,
    path::Path,
};

use e2e::{
    backend::{Backend, Received, answer, answer_with},
    canary::Canaries,
};
use serde_json::{Value, json};

use super::secrets::filed;

/// Backends that repeat what we sent them in every way that there is, and say everything that they can, and how they
/// are configured. Some of their secrets are in `files`.
pub(super) fn backends(
    config: &Canaries,
    backend: &Canaries,
    files: &Path,
) -> (Vec<Backend>, Value) {
    let label = |name: &str| {
        (backend.word(&format!("label `{name}`")), backend.random(&format!("label `{name}` again")))
    };
    let (job, pod) = label("job");
    let good = json!({ "status": "success", "data": { "resultType": "vector", "result": [
        { "metric": { "__name__": "up", "job": job, "pod": pod }, "value": [0, "1"] },
    ]}, "infos": [backend.word("info")] });
    let good = Backend::answering(200, "application/json", good.to_string());
    let failing: Vec<(&str, Backend)> = vec![
        ("unauthorized", echoing(401)),
        ("forbidden", echoing(403)),
        ("rejected", echoing(422)),
        ("failed", echoing(500)),
        ("limited", echoing(429)),
        (
            "warned",
            Backend::start(|received, stream| {
                let body = json!({ "status": "success", "warnings": [repeated(received)],
                "data": { "resultType": "scalar", "result": [0, "1"] } });
                answer(stream, 200, "application/json", body.to_string().as_bytes())
            }),
        ),
        (
            "page",
            Backend::start(|received, stream| {
                answer(stream, 200, "text/html", repeated(received).as_bytes())
            }),
        ),
        (
            "redirect",
            Backend::start(|received, stream| {
                let place =
                    format!("http://127.0.0.1:9/?{}", repeated(received).replace([' ', '\n'], "+"));
                answer_with(stream, 302, &[("Location", &place)], b"")
            }),
        ),
        (
            "odd",
            Backend::start(|received, stream| {
                let kind =
                    format!("text/plain; secret=\"{}\"", repeated(received).replace('\n', " "));
                answer_with(stream, 200, &[("Content-Type", &kind), ("X-Echo", &kind)], b"{")
            }),
        ),
        ("broken", Backend::start(broken)),
        ("told", telling(backend, good_answer)),
        ("texts", telling(backend, odd_answer)),
        ("faults", telling(backend, fault)),
    ];
    let mut settings = json!({
        "good": credentials(config, "good", &good.url(), files),
        // Nobody listens there.
        "absent": credentials(config, "absent", "http://127.0.0.1:9", files),
    });
    settings["good"]["org_id"] = json!("tenant");
    settings["good"]["available_orgs"] = json!(["other"]);
    for (name, backend) in &failing {
        settings[*name] = credentials(config, name, &backend.url(), files);
    }
    let mut all = vec![good];
    all.extend(failing.into_iter().map(|(_, backend)| backend));
    (all, settings)
}

/// Every second one has user and password, the others a token; of each kind every second one has it in a file. All have
/// a header, and another one in a file.
pub(super) fn credentials(config: &Canaries, name: &str, url: &str, files: &Path) -> Value {
    let secret = |what: &str| config.word(&format!("{what} of backend `{name}`"));
    let in_file = |what: &str| filed(files, config, &format!("{what} of backend `{name}`"));
    let auth = match name.len() % 4 {
        0 => json!({ "type": "basic", "username": secret("user"), "password": secret("password") }),
        1 => json!({ "type": "token", "token": secret("token") }),
        2 => {
            json!({ "type": "basic", "username": secret("user"), "password_file": in_file("password") })
        }
        _ => json!({ "type": "token", "token_file": in_file("token") }),
    };
    json!({
        "url": url, "auth": auth, "timeout": "2s", "connect_timeout": "1s",
        "headers": { "X-Backend-Key": secret("header") },
        "header_files": { "X-Filed-Key": in_file("header in a file") },
    })
}

/// What somebody is asked for: samples now, samples of a time, or names of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Now,
    Range,
    Names,
}

/// Finds something to say, given what makes a secret of a part of it.
type Say = fn(&dyn Fn(&str) -> String, Wanted) -> Said;

/// What a backend says of its own.
struct Said {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Value,
}

/// A backend that says everything that `say` finds to say, and has a secret in its status line and further headers.
fn telling(backend: &Canaries, say: Say) -> Backend {
    let [now, range, names] = [Wanted::Now, Wanted::Range, Wanted::Names].map(|wanted| {
        let secret = |part: &str| backend.word(&format!("{part}, asked for {wanted:?}"));
        let Said { status, headers, body } = say(&secret, wanted);
        let mut head = format!(
            "HTTP/1.1 {status} {}\r\nContent-Type: application/json\r\nConnection: close\r\n",
            secret(&format!("reason phrase of {status}"))
        );
        let more = ["Server", "Set-Cookie", "X-Anything", "Www-Authenticate"]
            .map(|name| (name, secret(&format!("header {name} of {status}"))));
        for (name, value) in headers.into_iter().chain(more) {
            head.extend([name, ": ", &value, "\r\n"]);
        }
        let body = body.to_string();
        format!("{head}Content-Length: {}\r\n\r\n{body}", body.len())
    });
    Backend::start(move |received, stream| {
        let said = match &received.line {
            line if line.contains("/query_range") => &range,
            line if line.contains("/query") => &now,
            _ => &names,
        };
        stream.write_all(said.as_bytes())
    })
}

/// An answer as it should be.
fn good_answer(secret: &dyn Fn(&str) -> String, wanted: Wanted) -> Said {
    let name = || secret("metric name of a series");
    let metric = json!({ "__name__": name(), secret("label name"): secret("label value") });
    let data = match wanted {
        Wanted::Now => json!({ "resultType": "vector", "result": [
            { "metric": metric, "value": [0, "1"] },
            { "metric": { secret("another label name"): "a" }, "value": [0, "2"] },
        ]}),
        Wanted::Range => json!({ "resultType": "matrix", "result": [
            { "metric": metric, "values": [[0, "1"], [60, "2"]] },
        ]}),
        Wanted::Names => json!([secret("metric name"), secret("another metric name")]),
    };
    let body = json!({
        "status": "success", "data": data,
        "warnings": [secret("warning")], "infos": [secret("info")],
    });
    Said { status: 200, headers: Vec::new(), body }
}

/// An answer that is none, or no number.
fn odd_answer(secret: &dyn Fn(&str) -> String, wanted: Wanted) -> Said {
    let data = match wanted {
        Wanted::Now => json!({ "resultType": "string", "result": [0, secret("string")] }),
        Wanted::Range => json!({ "resultType": "scalar", "result": [0, secret("scalar")] }),
        Wanted::Names => {
            json!({ "resultType": secret("type of a result"), "result": secret("result") })
        }
    };
    let body = json!({ "status": "success", "data": data, secret("key"): secret("value") });
    Said { status: 200, headers: Vec::new(), body }
}

/// An error, of another kind for each question.
fn fault(secret: &dyn Fn(&str) -> String, wanted: Wanted) -> Said {
    let status = match wanted {
        Wanted::Now => 422,
        Wanted::Range => 429,
        Wanted::Names => 503,
    };
    let body = json!({
        "status": "error", "errorType": secret("type of an error"), "error": secret("error"),
        "data": secret("data of an error"), "warnings": [secret("warning of an error")],
    });
    Said { status, headers: vec![("Retry-After", secret("Retry-After"))], body }
}

/// A server that answers everything with this status and all that it was sent, in the form of the Prometheus API.
pub(super) fn echoing(status: u16) -> Backend {
    Backend::start(move |received, stream| {
        let said =
            json!({ "status": "error", "errorType": "bad_data", "error": repeated(received) });
        answer(stream, status, "application/json", said.to_string().as_bytes())
    })
}

fn repeated(received: &Received) -> String {
    let headers: Vec<String> =
        received.headers.iter().map(|(name, value)| format!("{name}: {value}")).collect();
    format!("{} {}", received.line, headers.join("\n"))
}

/// Says that more comes, and leaves.
fn broken(received: &Received, stream: &mut TcpStream) -> io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99999\r\n\r\n{}",
        repeated(received)
    )
}
