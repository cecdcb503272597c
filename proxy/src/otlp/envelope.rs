//! What stands around spans and log records in a request.

use bytes::Bytes;

use super::protobuf::{Message, Value};

/// Version of the semantic conventions that attributes follow.
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.40.0";

/// Who sends.
#[derive(Debug, Clone, Copy)]
pub struct Resource<'a> {
    /// Name of the service.
    pub service: &'a str,
    /// Name of this replica.
    pub instance: &'a str,
}

/// What stands around spans and log records in a request; written once, since it never changes.
///
/// `ExportTraceServiceRequest` and `ExportLogsServiceRequest` are alike to the byte but for what is inside.
#[derive(Debug, Clone)]
pub struct Envelope {
    /// `Resource`.
    resource: Box<[u8]>,
    /// `InstrumentationScope`.
    scope: Box<[u8]>,
}

/// Field of a span in `ScopeSpans`, and of a record in `ScopeLogs`.
pub const ENTRY: u32 = 2;

impl Envelope {
    /// For what `resource` sends.
    #[must_use]
    pub fn new(resource: Resource<'_>) -> Self {
        let Resource { service, instance } = resource;
        let version = env!("CARGO_PKG_VERSION");
        let mut sender = Vec::with_capacity(192);
        let mut message = Message(&mut sender);
        for (key, value) in [
            ("service.name", service),
            ("service.version", version),
            ("service.instance.id", instance),
            ("telemetry.sdk.name", "promgate"),
            ("telemetry.sdk.language", "rust"),
            ("telemetry.sdk.version", version),
        ] {
            message.attribute(1, key, Value::Text(value));
        }
        let mut scope = Vec::with_capacity(32);
        let mut message = Message(&mut scope);
        message.text(1, "promgate");
        message.text(2, version);
        Self { resource: sender.into(), scope: scope.into() }
    }

    /// A whole request around `entries`, each of which is a field [`ENTRY`].
    #[must_use]
    pub fn around(&self, entries: &[u8]) -> Bytes {
        let around = self.resource.len() + self.scope.len() + 2 * SCHEMA_URL.len();
        let mut request = Vec::with_capacity(entries.len() + around + 64);
        Message(&mut request).nested(1, |of_resource| {
            of_resource.bytes(1, &self.resource);
            of_resource.nested(2, |of_scope| {
                of_scope.bytes(1, &self.scope);
                of_scope.0.extend_from_slice(entries);
                of_scope.text(3, SCHEMA_URL);
            });
            of_resource.text(3, SCHEMA_URL);
        });
        request.into()
    }
}
