//! What operators see: the page of all metrics, the dashboard, the rules and alerts, and the runbook, held to one
//! another and to a real Prometheus that scrapes a real run.

#[cfg(test)]
mod observability {
    mod expression;
    mod files;
    mod names;
    mod promtool;
    mod run;
    mod words;
}
