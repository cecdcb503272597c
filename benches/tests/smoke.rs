//! The benchmark itself, run small: it must not rot between the days on which somebody looks at it.

#[cfg(test)]
mod smoke {
    use std::{path::Path, process::Command};

    use serde_json::Value;

    fn bench_edge(arguments: &[&str]) -> std::process::Output {
        Command::new(env!("CARGO_BIN_EXE_bench-edge")).args(arguments).output().unwrap()
    }

    fn rows(file: &Path) -> Vec<Value> {
        serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
    }

    #[test]
    fn a_small_run_measures_every_case_without_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("new/edge.json");
        let small = ["--starts", "1", "--rounds", "1", "--requests", "200", "--connections", "4"];
        let kept = ["--streams", "200", "--json", file.to_str().unwrap()];
        let run = bench_edge(&[&small[..], &kept[..]].concat());
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));

        let rows = rows(&file);
        let names: Vec<_> = rows.iter().map(|row| row["case"].as_str().unwrap()).collect();
        let cases = [
            "static_200",
            "ping_session",
            "ping_session_hop",
            "tools_list_stateless",
            "tools_list_audit_off",
            "tools_list_audit_control",
            "tools_list_audit_chain",
            "tools_list_traced",
            "tools_call_stub",
            "tools_call_stub_session",
            "tools_list_rs256_first",
            "tools_list_rs256_cached",
            "tools_list_es256_first",
            "refused_401",
        ];
        assert_eq!(names[..14], cases);
        assert_eq!(names[14..], ["open_stream"]);
        for row in &rows[..14] {
            let fresh = row["case"].as_str().unwrap().ends_with("_first");
            assert_eq!(row["requests"], if fresh { 20 } else { 200 }, "{row}");
            assert_eq!(row["errors"], 0, "{row}");
            is_measured(row);
            assert_eq!(row["local_ratio"].is_number(), row["case"] == "ping_session_hop", "{row}");
            let more = ["tools_list_audit_control", "tools_list_audit_chain", "tools_list_traced"];
            let has_more = more.contains(&row["case"].as_str().unwrap());
            assert_eq!(row["extra_us"].is_number(), has_more, "{row}");
        }
        is_memory(&rows[14]);
        let table = String::from_utf8(run.stdout).unwrap();
        assert_eq!(table.lines().count(), 1 + rows.len(), "a heading and a line for each row");
    }

    fn is_measured(row: &Value) {
        for figure in ["cpu_us_per_request", "p50_us", "p99_us", "rss_bytes", "ratio"] {
            assert!(row[figure].as_f64().unwrap() > 0.0, "{figure} of {row}");
        }
    }

    fn is_memory(row: &Value) {
        // So few may fit into pages that are there already.
        assert!(row["each_bytes"].is_number(), "{row}");
        assert!(row["cpu_us_per_request"].is_null(), "{row}");
    }

    #[test]
    fn a_small_run_of_sessions_measures_requests_beside_few_and_beside_many() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("sessions.json");
        let small = ["sessions", "--rounds", "1", "--requests", "200", "--connections", "4"];
        let kept = ["--sessions", "200", "--json", file.to_str().unwrap()];
        let run = bench_edge(&[&small[..], &kept[..]].concat());
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));

        let rows = rows(&file);
        let names: Vec<_> = rows.iter().map(|row| row["case"].as_str().unwrap()).collect();
        let requests = ["ping_session_few", "ping_session_many", "ping_session_each"];
        assert_eq!(names[..3], requests);
        assert_eq!(names[3..], ["idle_session", "idle_session_distinct"]);
        for row in &rows[..3] {
            assert_eq!(row["requests"], 200, "{row}");
            assert_eq!(row["errors"], 0, "{row}");
            is_measured(row);
        }
        rows[3..].iter().for_each(is_memory);
        assert_eq!(rows[0]["ratio"], 1.0);
        assert_eq!(rows[1]["bar"], 1.05);
    }

    #[test]
    fn a_case_that_is_passed_on_is_measured_beside_the_same_where_its_session_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("edge.json");
        let small = ["--starts", "1", "--rounds", "1", "--requests", "40", "--connections", "2"];
        let one = ["--only", "ping_session_hop", "--json", file.to_str().unwrap()];
        let run = bench_edge(&[&small[..], &one[..]].concat());
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let rows = rows(&file);
        let names: Vec<_> = rows.iter().map(|row| row["case"].as_str().unwrap()).collect();
        assert_eq!(names, ["static_200", "ping_session", "ping_session_hop"]);
        let (alone, passed_on) = (&rows[1]["rss_bytes"], &rows[2]["rss_bytes"]);
        assert!(passed_on.as_u64() > alone.as_u64(), "two processes: {passed_on}, {alone}");
    }

    #[test]
    fn what_a_sealed_record_costs_is_measured_beside_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("edge.json");
        let small = ["--starts", "2", "--rounds", "3", "--requests", "40", "--connections", "2"];
        let one = ["--only", "tools_list_audit_chain", "--json", file.to_str().unwrap()];
        let run = bench_edge(&[&small[..], &one[..]].concat());
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let rows = rows(&file);
        let names: Vec<_> = rows.iter().map(|row| row["case"].as_str().unwrap()).collect();
        let [off, control, chain] =
            ["tools_list_audit_off", "tools_list_audit_control", "tools_list_audit_chain"];
        assert_eq!(names, ["static_200", off, control, chain]);
        assert_eq!(rows[3]["bar"], 1.5);
        assert!(rows[3]["extra_us"].is_number() && rows[1]["extra_us"].is_null());
        assert!(rows[2]["extra_us"].is_number() && rows[2]["bar"].is_null());
        for row in &rows {
            assert_eq!(row["requests"], 2 * 3 * 40, "three rounds after each of two starts: {row}");
        }
    }

    #[test]
    fn one_case_is_measured_beside_the_unit_alone() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("edge.json");
        let small = ["--starts", "1", "--rounds", "1", "--requests", "40", "--connections", "2"];
        let one = ["--only", "tools_call_stub", "--json", file.to_str().unwrap()];
        let run = bench_edge(&[&small[..], &one[..]].concat());
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        let rows = rows(&file);
        let names: Vec<_> = rows.iter().map(|row| row["case"].as_str().unwrap()).collect();
        assert_eq!(names, ["static_200", "tools_call_stub"]);
    }

    #[test]
    fn an_argument_that_is_unknown_or_of_the_other_run_is_an_error_that_names_it() {
        for wrong in [&["--fast"][..], &["--sessions", "1"], &["sessions", "--starts", "1"]] {
            let run = bench_edge(wrong);
            assert!(!run.status.success());
            let name = wrong.iter().find(|argument| argument.starts_with("--")).unwrap();
            let said = String::from_utf8_lossy(&run.stderr).into_owned();
            assert!(said.contains(&format!("`{name}`")), "{said}");
        }
    }
}
