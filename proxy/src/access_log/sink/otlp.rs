//! An OTLP receiver: the queue's bytes are the entries of a request.

use std::{
    io,
    time::{Duration, Instant},
};

use tokio::runtime::{Builder, Runtime};

use crate::{
    access_log::{
        AccessLogError, otlp,
        output::{Done, Output},
    },
    config,
    otlp::{Client, Envelope, Resource, Signal},
    telemetry::Chain,
};

/// A receiver of logs.
pub(in crate::access_log) struct OtlpOutput {
    client: Client,
    envelope: Envelope,
    /// Where requests are sent from: the sink's own thread.
    runtime: Runtime,
    /// The receiver wants to be left alone until then.
    not_before: Option<Instant>,
}

impl OtlpOutput {
    /// Nothing is connected yet.
    pub(in crate::access_log) fn new(
        config: &config::Otlp,
        resource: Resource<'_>,
    ) -> Result<Self, AccessLogError> {
        // First, since whoever opens sinks may be in a runtime, where another one must not be dropped.
        let client = Client::new(config)?;
        let runtime = Builder::new_current_thread().enable_all().build();
        Ok(Self {
            client,
            envelope: Envelope::new(resource),
            runtime: runtime.map_err(AccessLogError::Thread)?,
            not_before: None,
        })
    }
}

impl Output for OtlpOutput {
    fn write(&mut self, records: &[u8]) -> io::Result<Done> {
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let request = self.envelope.around(records);
        match self.runtime.block_on(self.client.send(request, Signal::Logs)) {
            Ok(taken) => {
                self.not_before = None;
                Ok(Done { bytes: records.len(), rejected: taken.rejected })
            }
            Err(error) if error.may_pass() => {
                let pause = error.pause().unwrap_or(Duration::ZERO);
                self.not_before = Instant::now().checked_add(pause);
                Err(io::Error::other(error))
            }
            Err(error) => {
                // It would be refused each time, and those behind it would never be sent.
                let (_, rejected) = otlp::entries(records, usize::MAX);
                tracing::warn!(error = %Chain(&error), rejected, "a receiver of access records refuses them");
                Ok(Done { bytes: records.len(), rejected })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::HeaderMap;

    use super::*;
    use crate::config::{Otlp, OtlpProtocol, SinkTls};

    #[tokio::test]
    async fn a_receiver_that_cannot_be_reached_like_this_is_an_error_in_a_runtime_too() {
        let config = Otlp {
            endpoint: "https://127.0.0.1:9".parse().unwrap(),
            protocol: OtlpProtocol::HttpProtobuf,
            headers: HeaderMap::new(),
            tls: SinkTls { server_name: Some("127.0.0.1".to_owned()), ..SinkTls::default() },
            timeout: Duration::from_secs(1),
        };
        let resource = Resource { service: "s", instance: "i" };
        assert!(matches!(OtlpOutput::new(&config, resource), Err(AccessLogError::Otlp(_))));
    }
}
