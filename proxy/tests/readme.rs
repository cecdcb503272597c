//! What the README shows can be used as it stands there.

#[cfg(test)]
mod tests {
    use std::{path::Path, process::Command};

    use promgate::config::{self, Environment, NotText};

    const README: &str = include_str!("../../README.md");

    /// Every variable is set.
    struct Set;

    impl Environment for Set {
        fn get(&self, _name: &str) -> Result<Option<String>, NotText> {
            Ok(Some("1".to_owned()))
        }
    }

    /// A line without what differs from run to run: ports, durations, times and values.
    fn stable(line: &str) -> String {
        let words = line.trim().split(' ').map(|word| {
            let varies = word.starts_with(|c: char| c.is_ascii_digit()) && word != "200";
            match word.strip_prefix("http://127.0.0.1:") {
                Some(rest) => format!("http://127.0.0.1:PORT/{}", rest.split_once('/').unwrap().1),
                None if varies && word != "3" => "N".to_owned(),
                None => word.to_owned(),
            }
        });
        words.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_transcript_is_what_the_demo_prints() {
        let shown = README.split("<!-- transcript: begin -->").nth(1).unwrap();
        let shown = shown.split("<!-- transcript: end -->").next().unwrap().trim();
        let shown: Vec<String> = shown.lines().skip(1).map(stable).collect();
        let tools =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/prometheus/usr/bin");
        assert!(tools.join("prometheus").exists(), "run `make setup-test` first");
        let out = Command::new(env!("CARGO_BIN_EXE_promgate"))
            .args(["demo", "--once", "--prometheus"])
            .arg(tools.join("prometheus"))
            .output()
            .unwrap();
        let printed = String::from_utf8(out.stdout).unwrap();
        let printed: Vec<String> = printed.lines().map(stable).take(shown.len()).collect();
        assert!(shown.len() > 30, "{shown:?}");
        assert_eq!(shown, printed);
    }

    fn blocks(language: &str) -> Vec<&'static str> {
        let parts = README.split(&format!("```{language}\n")).collect::<Vec<_>>();
        parts.iter().skip(1).map(|part| part.split("```").next().unwrap()).collect()
    }

    #[test]
    fn every_configuration_loads() {
        let shown = blocks("yaml");
        let kinds = "Prometheus, Thanos, Cortex, Mimir, Grafana Cloud, PMM, and three of tokens";
        assert_eq!(shown.len(), 9, "{kinds}");
        for text in shown {
            if let Err(faults) = config::parse(Path::new("README.md"), text, &Set) {
                panic!("{faults}\n{text}");
            }
        }
    }

    #[test]
    fn every_client_configuration_is_json_and_names_the_default_address() {
        let shown = blocks("json");
        assert_eq!(shown.len(), 4);
        for text in shown {
            let value: serde_json::Value = serde_json::from_str(text).expect(text);
            let text = value.to_string();
            assert!(text.contains("http://127.0.0.1:8080/mcp") || text.contains("stdio"), "{text}");
        }
    }

    #[test]
    fn what_changes_for_a_file_of_prometheus_mcp_is_stated() {
        let section = README.split("## Coming from freepik's prometheus-mcp").nth(1).unwrap();
        let section = section.split("\n## ").next().unwrap();
        let changelog = include_str!("../../CHANGELOG.md");
        for (name, text) in [("README.md", section), ("CHANGELOG.md", changelog)] {
            for words in
                ["`type: stdio`", "`promgate stdio`", "without", "`org_id`", "allowed_hosts"]
            {
                assert!(text.contains(words), "{words} is not in {name}");
            }
        }
    }

    #[test]
    fn what_needs_a_restart_is_stated_where_operators_look() {
        let reload = include_str!("../src/reload.rs");
        let (_, list) = reload.split_once("fn needing_restart").unwrap();
        let (list, _) = list.split_once("\n}").unwrap();
        let names: Vec<&str> = list.lines().filter_map(|line| line.split('"').nth(1)).collect();
        assert!(names.len() > 8, "{names:?}");
        for name in names.iter().flat_map(|name| name.split(" or ")) {
            assert!(README.contains(&format!("`{name}`")), "{name}");
            let defaults = include_str!("../../conf/promgate.yaml");
            let (_, restart) = defaults.split_once("restart, and the log names them").unwrap();
            assert!(restart.contains(&format!(" {name}")), "{name}");
        }
    }

    /// The documents at the top, by name.
    const DOCUMENTS: [(&str, &str); 5] = [
        ("README.md", README),
        ("ARCHITECTURE.md", include_str!("../../ARCHITECTURE.md")),
        ("CHANGELOG.md", include_str!("../../CHANGELOG.md")),
        ("CONTRIBUTING.md", include_str!("../../CONTRIBUTING.md")),
        ("SECURITY.md", include_str!("../../SECURITY.md")),
    ];

    /// What stands between backticks, and the lines that are shown as commands.
    fn code(text: &str) -> impl Iterator<Item = &str> {
        let spans = text.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
        spans.chain(text.lines().filter_map(|line| line.strip_prefix("    ")))
    }

    #[test]
    fn every_path_that_a_document_names_exists() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let folders = ["conf/", "mcp-core/", "proxy/", "tests/", "benches/", "scripts/", "fuzz/"];
        for (name, text) in DOCUMENTS {
            let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            let (inside, links): (Vec<_>, Vec<_>) = links
                .filter(|link| !link.starts_with("http"))
                .partition(|link| link.starts_with('#'));
            let heading =
                |line: &str| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-");
            for link in inside {
                let found = text
                    .lines()
                    .any(|l| l.starts_with("## ") && Some(&*heading(l)) == link.strip_prefix("#"));
                assert!(found, "{name} names {link}");
            }
            let named = code(text).filter(|word| folders.iter().any(|top| word.starts_with(top)));
            for path in links.into_iter().chain(named) {
                assert!(root.join(path).exists(), "{name} names {path}");
            }
        }
    }

    #[test]
    fn every_module_has_its_line_in_the_architecture() {
        let (_, text) = DOCUMENTS[1];
        let lists = [
            include_str!("../src/lib.rs"),
            include_str!("../../mcp-core/src/lib.rs"),
            include_str!("../../mcp-core/src/server.rs"),
        ];
        for line in lists.iter().flat_map(|list| list.lines()) {
            let module = line.trim_start_matches("pub ").strip_prefix("mod ");
            if let Some(module) = module.and_then(|rest| rest.strip_suffix(';')) {
                let listed = |form: &str| {
                    text.lines().any(|row| row.starts_with("| `") && row.contains(form))
                };
                assert!(
                    listed(&format!("`{module}`")) || listed(&format!("`{module}.rs`")),
                    "{module}"
                );
            }
        }
    }

    #[test]
    fn every_command_that_a_document_names_exists() {
        let makefile = include_str!("../../Makefile");
        let help = Command::new(env!("CARGO_BIN_EXE_promgate")).arg("--help").output().unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        let mut commands = 0;
        for (name, text) in DOCUMENTS {
            for command in code(text) {
                let mut words = command.split_whitespace();
                let (program, word) = (words.next(), words.next().unwrap_or_default());
                match program {
                    Some("make") => {
                        assert!(makefile.contains(&format!("\n{word}:")), "{name}: {command}");
                    }
                    // It is no command for users; `what_only_the_demo_itself_calls` has it.
                    Some("promgate") if word != "demo-child" => {
                        assert!(help.contains(&format!("\n  {word} ")), "{name}: {command}");
                    }
                    _ => continue,
                }
                commands += 1;
            }
        }
        assert!(commands > 15, "{commands}");
    }
}
