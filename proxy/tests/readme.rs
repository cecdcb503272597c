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
        assert_eq!(shown.len(), 6, "Prometheus, Thanos, Cortex, Mimir, Grafana Cloud, PMM");
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
}
