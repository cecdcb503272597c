//! Traces and the program's own log, end to end: a real Promgate in front of a real Prometheus, and a real OpenTelemetry
//! collector that receives what it sends.

#[cfg(test)]
mod telemetry {
    mod log;
    mod parts;
    mod receiver;
    mod sampling;
    mod secrets;
    mod tls;
    mod traces;
}
