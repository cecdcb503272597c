//! The official conformance suite against the fixture handler behind the real edge and workers.

use e2e::{clients::conformance, paths::workspace, server::Server, settings::Settings};

fn conforms(requirements: &str) {
    let server = Server::fixture(&Settings::default());
    let baseline = workspace().join(format!("tests/conformance/baseline-{requirements}.yaml"));
    let url = format!("http://{}/mcp", server.mcp);
    let (good, output) = conformance(&url, requirements, baseline.as_os_str());
    assert!(good, "{output}");
    // That it ran, and what is not allowed to be in any baseline.
    assert!(output.contains("tools-call-simple-text"), "{output}");
    assert!(!output.contains("wire-schema-valid: FAILURE"), "{output}");
}

#[test]
fn requirements_of_2026_07_28() {
    conforms("2026-07-28");
}

#[test]
fn requirements_of_2025_11_25() {
    conforms("2025-11-25");
}
