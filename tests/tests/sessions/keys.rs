//! How replicas prove who they are, and how keys are changed while they run.

use e2e::{
    http::once,
    mcp::Client,
    minter,
    paths::temporary_folder,
    process::{Process, until},
    replicas::{CLUSTER_KEY, Replicas, SESSION_KEY},
    tls::Authority,
};
use serde_json::{Value, json};

const NEW_KEY: &str = "another key of sessions for the tests: 32 bytes and more";

fn status(client: &Client) -> u16 {
    client.call("ping", json!({})).status()
}

#[test]
fn a_session_stays_until_the_key_of_its_id_is_taken_away() {
    let replicas = Replicas::start(2);
    let alice = minter::token("alice");
    let old = replicas.at(0).session(&alice);
    let both = |key: &str, other: &str| {
        let keys = json!([key, other]);
        for replica in replicas.all() {
            replica.reload(|config| config["sessions"]["keys"] = keys.clone());
        }
    };
    // Everybody must know the new one before anybody signs with it.
    both(SESSION_KEY, NEW_KEY);
    both(NEW_KEY, SESSION_KEY);
    let new = replicas.at(0).session(&alice);
    for session in [&old, &new] {
        for replica in replicas.all() {
            assert_eq!(status(&session.through(replica.mcp())), 200);
        }
    }
    for replica in replicas.all() {
        replica.reload(|config| config["sessions"]["keys"] = json!([NEW_KEY]));
    }
    for replica in replicas.all() {
        assert_eq!(status(&old.through(replica.mcp())), 404);
        assert_eq!(status(&new.through(replica.mcp())), 200);
    }
}

#[test]
fn keys_of_replicas_change_while_they_run() {
    let new = CLUSTER_KEY.to_uppercase();
    let replicas = Replicas::start(2);
    let session = replicas.at(1).session(&minter::token("alice"));
    for keys in [json!([CLUSTER_KEY, new]), json!([new, CLUSTER_KEY]), json!([new])] {
        for replica in replicas.all() {
            replica.reload(|config| config["cluster"]["keys"] = keys.clone());
            assert_eq!(status(&session.through(replicas.at(0).mcp())), 200, "{keys}");
        }
    }
    replicas.settle();
}

#[test]
fn a_replica_with_another_key_does_not_take_part() {
    let replicas = Replicas::begin_at(e2e::place::Place::several(2), |number, config| {
        if number == 1 {
            config["cluster"]["keys"] = json!([CLUSTER_KEY.to_uppercase()]);
        }
    });
    let alice = minter::token("alice");
    let session = replicas.at(1).session(&alice);
    until("it is asked and not believed", || {
        replicas.at(1).metric("promgate_hops_total{outcome=\"refused\"}") >= 3.0
    });
    let living = |number: usize| {
        let ring = replicas.at(number).ring();
        let nodes = ring["nodes"].as_array().unwrap().clone();
        nodes.iter().filter(|node| node["state"] == "up").count()
    };
    assert_eq!((living(0), living(1)), (1, 1), "each is alone");
    assert_eq!(status(&session), 200);
    assert_eq!(status(&session.through(replicas.at(0).mcp())), 404);
}

/// Settings of TLS between replicas, with certificates of one authority.
fn tls(authority: &Authority) -> Value {
    let leaf = authority.issue();
    json!({
        "cert_file": leaf.certificate, "key_file": leaf.key,
        "ca_file": authority.certificate(), "server_name": "127.0.0.1",
    })
}

#[test]
fn replicas_speak_mutual_tls_where_that_is_wanted() {
    let authority = Authority::new("replicas");
    let tls = tls(&authority);
    let replicas = Replicas::start_with(2, move |_, config| {
        config["cluster"]["tls"] = tls.clone();
        config["cluster"].as_object_mut().unwrap().remove("keys");
    });
    let session = replicas.at(1).session(&minter::token("alice"));
    assert_eq!(status(&session.through(replicas.at(0).mcp())), 200);
    let mut stream = session.through(replicas.at(0).mcp()).listen();
    assert!(stream.event().unwrap().is_some());

    let target = replicas.at(1).place().peer().to_string();
    let strangers = Authority::new("strangers");
    let leaf = strangers.issue();
    let (certificate, key) =
        (leaf.certificate.display().to_string(), leaf.key.display().to_string());
    let own: Vec<&str> = vec!["-cert", &certificate, "-key", &key];
    for (who, arguments) in [("nobody", Vec::new()), ("a stranger", own)] {
        let printed = ask_over_tls(&target, &arguments);
        assert!(!printed.contains("HTTP/"), "{who} is served: {printed}");
        assert!(printed.contains("alert"), "{who} is turned away: {printed}");
    }
    let plain = session.request("ping", json!({}));
    let mut connection = e2e::http::Connection::open(replicas.at(1).place().peer());
    let answered = connection.try_send(plain.bytes()).and_then(|()| connection.try_answer());
    assert!(answered.is_err(), "{answered:?}");
    assert_eq!(once(replicas.at(0).mcp(), &plain).head.status, 200);
}

#[test]
fn certificates_and_their_authority_are_changed_while_replicas_run() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let (of_old, of_new) = (tls(&old), tls(&new));
    let folder = temporary_folder();
    let read = |authority: &Authority| std::fs::read_to_string(authority.certificate()).unwrap();
    let both = folder.path().join("both.pem");
    std::fs::write(&both, read(&old) + &read(&new)).unwrap();
    let trusting_both = |tls: &Value| {
        let mut tls = tls.clone();
        tls["ca_file"] = json!(both);
        tls
    };
    let steps = [trusting_both(&of_old), trusting_both(&of_new), of_new.clone()];
    let start = of_old.clone();
    let replicas = Replicas::start_with(2, move |_, config| {
        config["cluster"]["tls"] = start.clone();
    });
    let rings = || {
        let changes = |log: String| log.matches("the ring has changed").count();
        replicas.all().iter().map(|replica| changes(replica.stderr())).sum::<usize>()
    };
    let before = rings();
    let session = replicas.at(1).session(&minter::token("alice"));
    let through = session.through(replicas.at(0).mcp());
    let mut stream = through.listen();
    assert!(stream.event().unwrap().is_some());
    let of = |tls: &Value| {
        let name = |key: &str| tls[key].as_str().unwrap().to_owned();
        ["-cert".to_owned(), name("cert_file"), "-key".to_owned(), name("key_file")]
    };
    let target = replicas.at(1).place().peer().to_string();
    let is_let_in = |tls: &Value| {
        let arguments = of(tls);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        !ask_over_tls(&target, &arguments).contains("alert")
    };
    assert!(is_let_in(&of_old) && !is_let_in(&of_new));
    for step in steps {
        for replica in replicas.all() {
            replica.reload(|config| config["cluster"]["tls"] = step.clone());
            for _time in 0..3 {
                assert_eq!(status(&through), 200, "{step}");
            }
            assert!(!replica.stderr().contains("need a restart"), "{}", replica.stderr());
        }
    }
    assert!(!is_let_in(&of_old) && is_let_in(&of_new));
    replicas.settle();
    assert_eq!(rings(), before, "{}", replicas.at(0).stderr());
    assert_eq!(session.delete().status(), 204);
    assert_eq!(stream.rest().len(), 0, "what was connected stayed so");
}

#[test]
fn certificates_whose_files_get_another_content_are_used_unless_nobody_could_accept_them() {
    let [old, new, strangers] = ["old", "new", "strangers"].map(Authority::new);
    let folder = temporary_folder();
    let file = |name: &str| folder.path().join(name);
    let read = |authority: &Authority| std::fs::read_to_string(authority.certificate()).unwrap();
    std::fs::write(file("ca.pem"), read(&old) + &read(&new)).unwrap();
    let write = |authority: &Authority| {
        let leaf = authority.issue();
        std::fs::copy(leaf.certificate, file("leaf.pem")).unwrap();
        std::fs::copy(leaf.key, file("leaf.key")).unwrap();
    };
    write(&old);
    let [cert_file, key_file, ca_file] = ["leaf.pem", "leaf.key", "ca.pem"].map(file);
    let replicas = Replicas::start_with(2, move |_, config| {
        config["server"]["reload_interval"] = json!("1s");
        config["cluster"]["tls"] = json!({ "cert_file": cert_file, "key_file": key_file, "ca_file": ca_file, "server_name": "127.0.0.1" });
    });
    let session = replicas.at(1).session(&minter::token("alice"));
    let through = session.through(replicas.at(0).mcp());
    let mut stream = through.listen();
    assert!(stream.event().unwrap().is_some());
    let target = replicas.at(1).place().peer().to_string();
    let is_issued_by = |name: &str| {
        let printed = ask_over_tls(&target, &[]);
        printed.contains(&format!("issuer=CN = {name}\n"))
    };
    let rings = || {
        replicas.all().iter().map(|replica| replica.ring()["version"].clone()).collect::<Vec<_>>()
    };
    let before = rings();
    assert!(is_issued_by("old"), "{}", ask_over_tls(&target, &[]));
    write(&new);
    until("the new one is shown", || is_issued_by("new"));
    assert_eq!(status(&through), 200);

    write(&strangers);
    for replica in replicas.all() {
        let said = "have it issued by an authority in `cluster.tls.ca_file`";
        until("it is refused", || replica.stderr().contains(said));
    }
    assert!(is_issued_by("new"), "what was in use goes on");
    assert_eq!((status(&through), rings()), (200, before));
    assert_eq!(session.delete().status(), 204);
    assert_eq!(stream.rest(), Vec::<Value>::new(), "what was connected stayed so");
}

/// What `openssl s_client` prints that sends a request.
fn ask_over_tls(target: &str, arguments: &[&str]) -> String {
    let folder = temporary_folder();
    let mut all = vec!["-c".to_owned()];
    let arguments = arguments.join(" ");
    all.push(format!(
        "cd {} && printf 'GET /_promgate/status HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n' | \
         timeout 20 openssl s_client -connect {target} -ign_eof {arguments} 2>&1",
        folder.path().display()
    ));
    let process = Process::start("/bin/sh".as_ref(), all);
    process.stdout().whole().join("\n")
}

#[test]
fn a_replica_of_another_authority_does_not_take_part() {
    let authorities = [Authority::new("ours"), Authority::new("theirs")];
    let tls = authorities.each_ref().map(tls);
    let replicas = Replicas::begin_at(e2e::place::Place::several(2), move |number, config| {
        config["cluster"]["tls"] = tls[number].clone();
    });
    let session = replicas.at(1).session(&minter::token("alice"));
    assert_eq!(status(&session), 200);
    assert_eq!(status(&session.through(replicas.at(0).mcp())), 404);
    let nodes = replicas.at(0).ring()["nodes"].as_array().unwrap().clone();
    assert!(nodes.iter().all(|node| node["self"] == true || node["state"] != "up"), "{nodes:?}");
}
