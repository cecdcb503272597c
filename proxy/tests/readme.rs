//! What the README shows can be used as it stands there.

#[cfg(test)]
mod tests {
    use std::path::Path;

    use promgate::config::{self, Environment, NotText};

    const README: &str = include_str!("../../README.md");

    /// Every variable is set.
    struct Set;

    impl Environment for Set {
        fn get(&self, _name: &str) -> Result<Option<String>, NotText> {
            Ok(Some("1".to_owned()))
        }
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
