//! Traces over TLS.

use e2e::{
    collector::{Collector, Protocol},
    mcp::Client,
    process::PATIENCE,
    tls::Authority,
};
use serde_json::json;

use super::parts::{TRACE, parent, promgate, query_in};

#[test]
fn spans_go_over_tls_to_whom_our_authority_vouches_for_and_to_nobody_else() {
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let (ours, foreign) = (Authority::new("ours"), Authority::new("foreign"));
        let collector = Collector::with_tls(&ours);
        let trusting = |authority: &Authority| {
            let mut settings = collector.traces(protocol);
            settings["tls"] = json!({ "ca_file": authority.certificate() });
            promgate(&settings)
        };
        let server = trusting(&foreign);
        query_in(&Client::stateless(server.mcp), None, Some(&parent(TRACE, true)));
        let stderr = server.process().stderr();
        let line = stderr.wait_for("the warning", |line| line.contains("the receiver of traces"));
        assert!(line.contains("certificate"), "{line}");
        server.terminate();
        assert!(server.exit(PATIENCE).success());
        assert!(collector.spans().is_empty());
        let server = trusting(&ours);
        query_in(&Client::stateless(server.mcp), None, Some(&parent(TRACE, true)));
        assert_eq!(collector.trace(TRACE, 4).len(), 4, "{protocol:?}");
    }
}
