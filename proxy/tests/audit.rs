//! `promgate audit`, run as a program on logs that are written here.
#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::Write as _,
        path::Path,
        process::{Command, Output, Stdio},
        time::{Duration, SystemTime},
    };

    use mcp_core::secret::Secret;
    use promgate::{
        access_log::chain::{AuditKey, ChainId, CheckpointReason, Sealer, head_path},
        config::SinkFormat,
    };
    use serde_json::Value;
    use tempfile::TempDir;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const PUBLIC: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    const CONFIG: &str = r"
middleware:
  jwt: { enabled: false }
  access_logs:
    audit: { key_files: [audit.key] }
    sinks: [{ name: audit, type: file, path: ./audit.log, chain: true }]
backends: { p: { url: 'http://p:9090' } }
";

    /// A folder with a sealed log of ten records, its key, and a configuration that names both.
    fn folder() -> TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let key = AuditKey::new(&Secret::new(SECRET)).expect("a key");
        let mut sealer =
            Sealer::begin(key, SinkFormat::Json, ChainId::random().expect("randomness"));
        let time = SystemTime::UNIX_EPOCH + Duration::from_hours(498_888);
        let mut out = Vec::new();
        sealer.start((None, None), time, &mut out);
        for number in 1..=10 {
            let status = if number == 7 { 403 } else { 200 };
            let outcome = if number == 7 { "forbidden" } else { "ok" };
            let record = format!(
                r#"{{"v":1,"time":"2026-11-30T00:00:{number:02}.000Z","request_id":"r{number}","status":{status},"duration_ms":1.500,"bytes_out":10,"tool":"prometheus_query","subject":"user-{}","outcome":"{outcome}"}}"#,
                number % 3
            );
            sealer.seal(record.as_bytes(), &mut out);
        }
        let before = out.len();
        sealer.checkpoint(CheckpointReason::Shutdown, time, &mut out);
        let path = folder.path().join("audit.log");
        let write = |path: &Path, bytes: &[u8]| fs::write(path, bytes).expect("written");
        write(&head_path(&path), out.get(before..).unwrap_or_default());
        write(&path, &out);
        write(&folder.path().join("audit.key"), format!("{SECRET}\n").as_bytes());
        write(&folder.path().join("other.key"), "f".repeat(40).as_bytes());
        write(&folder.path().join("c.yaml"), CONFIG.as_bytes());
        folder
    }

    fn command(folder: &Path, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_promgate"));
        command.current_dir(folder).env_clear().arg("audit").args(args);
        command
    }

    fn run(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
        ended(&command(folder, args).output().expect("the program ran"))
    }

    fn fed(folder: &Path, args: &[&str], input: &[u8]) -> (Option<i32>, String, String) {
        let mut child = command(folder, args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        // It may end before it has read everything.
        drop(child.stdin.take().expect("its input").write_all(input));
        ended(&child.wait_with_output().expect("the program ran"))
    }

    fn ended(out: &Output) -> (Option<i32>, String, String) {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
        (out.status.code(), text(&out.stdout), text(&out.stderr))
    }

    fn json(text: &str) -> Value {
        serde_json::from_str(text).expect("JSON")
    }

    #[test]
    fn a_good_log_ends_with_0_wherever_its_keys_come_from() {
        let folder = folder();
        let here = folder.path();
        for args in [
            &["verify", "audit.log", "--key-file", "audit.key"][..],
            &["verify", "audit.log", "--config", "c.yaml"],
            &["verify", "--config", "c.yaml"],
            &[
                "verify",
                "audit.log",
                "audit.log.head",
                "--key-file",
                "other.key",
                "--key-file",
                "audit.key",
            ],
            &["verify", "audit.log", "--key-file", "audit.key", "--checkpoint", "audit.log.head"],
        ] {
            let (code, out, err) = run(here, args);
            assert_eq!((code, err.as_str()), (Some(0), ""), "{args:?}: {out}");
            assert!(out.contains("faults      0\n"), "{args:?}: {out}");
            assert!(
                out.contains("proved      Lines 1 to 12 are as they were sealed"),
                "{args:?}: {out}"
            );
        }
        let log = fs::read(here.join("audit.log")).expect("the log");
        let (code, out, _) = fed(here, &["verify", "-", "--key-file", "audit.key"], &log);
        assert_eq!(code, Some(0), "{out}");
        assert!(out.contains("no head file"), "{out}");
    }

    #[test]
    fn a_missing_head_file_is_a_fault_unless_nobody_expects_one() {
        let folder = folder();
        let here = folder.path();
        let odd = CONFIG.replace("audit.log", "odd.log.1");
        fs::write(here.join("odd.yaml"), odd).expect("written");
        fs::create_dir(here.join("old")).expect("a folder");
        let full = ["old/audit.log.1", "old/audit.log.20261130T000000.000Z"];
        for name in ["copy", "audit.2026", "odd.log.1"].into_iter().chain(full) {
            fs::copy(here.join("audit.log"), here.join(name)).expect("copied");
        }
        fs::remove_file(head_path(&here.join("audit.log"))).expect("removed");
        let asked = |args: &[&str]| run(here, &[args, &["--key-file", "audit.key"]].concat());
        for args in [
            &["verify", "audit.log", "--no-head"][..],
            &["report", "audit.log", "--no-head"],
            &["verify", "copy", "--no-head"],
            &["verify", full[0]],
            &["verify", full[1]],
            &["grep", "audit.log"],
        ] {
            let (code, out, err) = asked(args);
            assert_eq!((code, err.as_str()), (Some(0), ""), "{args:?}: {out}");
        }
        for args in [
            &["verify", "audit.log", "--key-file", "audit.key"][..],
            &["verify", "copy", "--key-file", "audit.key"],
            &["report", "audit.log", "--key-file", "audit.key"],
            &["verify", "--config", "c.yaml"],
            &["verify", "audit.2026", "--key-file", "audit.key"],
            // Its name looks like that of a full file, but the log is written there.
            &["verify", "--config", "odd.yaml"],
        ] {
            let (code, out, err) = run(here, args);
            assert_eq!(code, Some(1), "{args:?}: {out}");
            assert!(err.contains("faults: 1"), "{args:?}: {err}");
        }
        let (_, out, _) = asked(&["verify", "audit.log"]);
        assert!(out.contains("audit.log.head  -    there is none"), "{out}");
        let (_, out, _) = asked(&["verify", "audit.log", "--json"]);
        let found = &json(&out)["logs"][0]["found"][0];
        assert_eq!((&found["kind"], &found["line"]), (&Value::from("head_absent"), &Value::Null));
    }

    #[test]
    fn files_may_be_named_beside_their_log() {
        let folder = folder();
        let here = folder.path();
        let next = ["audit.log.20261130T000000.000Z", "audit.log.lock", "audit.log.next"];
        let path = here.join("audit.log");
        let lines = fs::read_to_string(&path).expect("the log");
        fs::write(&path, lines.lines().skip(6).fold(String::new(), |all, line| all + line + "\n"))
            .expect("written");
        fs::write(
            here.join(next[0]),
            lines.lines().take(6).fold(String::new(), |all, line| all + line + "\n"),
        )
        .expect("written");
        for name in next.into_iter().skip(1) {
            fs::write(here.join(name), "").expect("written");
        }
        let args = ["verify", "audit.log", next[0], "audit.log.head", next[1], next[2]];
        let asked = || run(here, &[&args[..], &["--key-file", "audit.key"]].concat());
        let (code, out, err) = asked();
        assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
        assert!(out.contains("lines       12, "), "{out}");
        fs::write(&path, "").expect("written");
        let (code, out, _) = asked();
        assert_eq!(code, Some(1), "{out}");
        assert!(out.contains("audit.log.head  12   cut short: it ends with 6"), "{out}");
    }

    #[test]
    fn the_first_bad_record_is_named_and_the_code_is_1() {
        let folder = folder();
        let here = folder.path();
        let path = here.join("audit.log");
        let changed = fs::read_to_string(&path).expect("the log").replace(
            "\"request_id\":\"r7\",\"status\":403",
            "\"request_id\":\"r7\",\"status\":200",
        );
        fs::write(&path, changed).expect("written");
        let (code, out, err) = run(here, &["verify", "audit.log", "--key-file", "audit.key"]);
        assert_eq!(code, Some(1), "{out}");
        assert!(
            out.starts_with(
                "file:line    seq  what\naudit.log:8  8    changed: its seal does not fit\n"
            ),
            "{out}"
        );
        assert_eq!(err, "promgate: the log is not as it was written (faults: 1)\n");
        let (code, out, _) = run(here, &["verify", "audit.log", "--config", "c.yaml", "--json"]);
        assert_eq!(code, Some(1));
        let found = &json(&out)["logs"][0]["found"][0];
        assert_eq!((&found["seq"], &found["kind"]), (&Value::from(8), &Value::from("changed")));
    }

    #[test]
    fn a_public_key_is_enough_to_check_checkpoints() {
        let folder = folder();
        let here = folder.path();
        let (code, out, err) = run(here, &["public-key", "--config", "c.yaml"]);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        let (id, key) = out.trim_end().split_once(' ').expect("a name and a key");
        assert_eq!((id.len(), key.len()), (8, 43), "{out}");
        assert!(!out.contains(SECRET));
        let (code, out, _) = run(here, &["verify", "audit.log", "--public-key", key]);
        assert_eq!(code, Some(0), "{out}");
        assert!(out.contains("a public key checks numbers, and the checkpoints"), "{out}");
        let (_, out, _) = run(here, &["public-key", "--key-file", "other.key"]);
        let (_, other) = out.trim_end().split_once(' ').expect("a name and a key");
        let (code, out, _) = run(here, &["verify", "audit.log", "--public-key", other]);
        assert_eq!(code, Some(1), "{out}");
        assert!(out.contains("a checkpoint whose signature does not hold"), "{out}");
    }

    #[test]
    fn reports_and_records_are_printed() {
        let folder = folder();
        let here = folder.path();
        let (code, out, err) = run(here, &["report", "audit.log", "--config", "c.yaml"]);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{out}");
        for words in ["requests    10", "user-1", "forbidden", "verified    yes"] {
            assert!(out.contains(words), "{words}: {out}");
        }
        let (code, out, _) = run(
            here,
            &["report", "audit.log", "--by", "tool", "--since", "2026-11-30T00:00:05Z", "--json"],
        );
        assert_eq!(code, Some(0));
        assert_eq!(json(&out)["tables"]["tool"]["rows"][0]["requests"], 6);

        let (code, out, err) = run(here, &["grep", "audit.log", "--outcome", "forbidden"]);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert_eq!(out.lines().count(), 1);
        assert_eq!(json(&out)["request_id"], "r7");
        let (code, out, _) = run(here, &["grep", "audit.log", "--person", "user-1", "--count"]);
        assert_eq!((code, out.as_str()), (Some(0), "4\n"));
        let (code, out, _) =
            run(here, &["grep", "--config", "c.yaml", "--status", "4xx", "--count"]);
        assert_eq!((code, out.as_str()), (Some(0), "1\n"));
    }

    #[test]
    fn pseudonyms_are_revealed_and_session_ids_come_from_standard_input() {
        let folder = folder();
        let here = folder.path();
        let args =
            ["reveal", "--subject", "alice", "--issuer", "https://idp", "--key-file", "audit.key"];
        let (code, out, err) = run(here, &args);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert!(out.contains("subject  h:"), "{out}");
        let (code, out, _) =
            fed(here, &["reveal", "--session-id", "--key-file", "audit.key"], b"session-1\n");
        assert_eq!(code, Some(0));
        assert!(out.contains("session  h:") && !out.contains("session-1"), "{out}");
        let (code, _, err) =
            fed(here, &["reveal", "--session-id", "--key-file", "audit.key"], b"\n");
        assert_eq!(code, Some(64), "{err}");
    }

    #[test]
    fn wrong_usage_ends_with_64_and_a_wrong_configuration_with_78() {
        let folder = folder();
        let here = folder.path();
        fs::write(
            here.join("plain.yaml"),
            "middleware: {jwt: {enabled: false}}\nbackends: {p: {url: 'http://p:9090'}}\n",
        )
        .expect("written");
        for (args, wanted, words) in [
            (&["verify", "audit.log"][..], 64, "no key was named"),
            (&["verify", "--key-file", "audit.key"], 64, "no log was named"),
            (&["verify", "-", "audit.log", "--key-file", "audit.key"], 64, "standard input"),
            (&["verify", "audit.log", "--public-key", "x"], 64, "43 characters"),
            (
                &["verify", "audit.log", "--public-key", PUBLIC, "--key-file", "y"],
                64,
                "cannot be used with",
            ),
            (&["report", "audit.log", "--since", "yesterday"], 64, "neither a time"),
            (&["report", "audit.log", "--by", "colour"], 64, "possible values"),
            (&["grep", "audit.log", "--status", "4x"], 64, "neither a status"),
            (&["reveal", "--key-file", "audit.key"], 64, "required"),
            (&["reveal", "--subject", "a", "--key-file", "audit.key"], 64, "--issuer"),
            (&["verify", "audit.log", "--config", "plain.yaml"], 78, "audit.keys"),
            (&["verify", "audit.log", "--config", "gone.yaml"], 78, "gone.yaml"),
            (&["verify", "gone.log", "--key-file", "audit.key"], 1, "there is no log 'gone.log'"),
            (&["verify", "audit.log", "--key-file", "gone.key"], 1, "gone.key"),
            (&["verify", "audit.log", "--key-file", "c.yaml"], 1, "holds no audit key"),
            (
                &["verify", "audit.log", "--key-file", "audit.key", "--checkpoint", "c.yaml"],
                1,
                "no checkpoint",
            ),
        ] {
            let (code, out, err) = run(here, args);
            assert_eq!(code, Some(wanted), "{args:?}: {err}");
            assert!(err.contains(words), "{args:?}: {err}");
            assert!(out.is_empty(), "{args:?}: {out}");
            assert!(!err.contains(SECRET), "{args:?}");
        }
    }
}
