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
    config::{self, WhenFull},
    otlp::{Client, Envelope, Resource, Seldom, SendError, Signal},
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
    /// No record is given up that another try, another token or another address could still bring there.
    keeps: bool,
    losses: Seldom,
}

impl OtlpOutput {
    /// Nothing is connected yet.
    pub(in crate::access_log) fn new(
        config: &config::Otlp,
        when_full: WhenFull,
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
            keeps: when_full != WhenFull::Drop,
            losses: Seldom::default(),
        })
    }

    /// Whether records for which the receiver answers so are lost.
    fn gives_up(&self, error: &SendError) -> bool {
        error.blames_data() || (!self.keeps && !error.may_pass())
    }
}

impl Output for OtlpOutput {
    fn write(&mut self, records: &[u8]) -> io::Result<Done> {
        if self.not_before.is_some_and(|at| Instant::now() < at) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut part = records;
        loop {
            let (_, count) = otlp::entries(part, usize::MAX);
            let request = self.envelope.around(part);
            let sent = self.runtime.block_on(self.client.send(request, Signal::Logs));
            let error = match sent {
                Ok(taken) => {
                    self.not_before = None;
                    return Ok(Done { bytes: part.len(), rejected: taken.rejected.min(count) });
                }
                Err(error) => error,
            };
            if error.blames_data() && count > 1 {
                // One that is wrong is not to take the others with it.
                let (half, _) = otlp::entries(part, part.len() / 2);
                part = part.get(..half).unwrap_or_default();
                continue;
            }
            if !self.gives_up(&error) {
                let pause = error.pause().unwrap_or(Duration::ZERO);
                self.not_before = Instant::now().checked_add(pause);
                return Err(io::Error::other(error));
            }
            // It would be refused each time, and those behind it would never be sent.
            if self.losses.now() {
                tracing::warn!(error = %Chain(&error), rejected = count, "a receiver of access records refuses them");
            }
            return Ok(Done { bytes: part.len(), rejected: count });
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
        assert!(matches!(
            OtlpOutput::new(&config, WhenFull::Drop, resource),
            Err(AccessLogError::Otlp(_))
        ));
    }
}
