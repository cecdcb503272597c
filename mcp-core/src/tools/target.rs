//! Which backend and tenant a call is about.

use std::time::Duration;

use url::form_urlencoded;

use super::{
    arguments::Arguments,
    error::{ArgumentError, ToolError, echo},
    reach::{Named, Reach},
    time::Span,
};
use crate::{
    backend::{Backend, BackendError, Endpoint, Question},
    config::OrgId,
};

/// A backend and one of its tenants.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'b> {
    pub(crate) backend: &'b Backend,
    pub(crate) org: Option<&'b OrgId>,
    /// Limit of the question, from connecting to the last byte.
    pub(crate) deadline: Duration,
    /// Whether the caller set the limit, to less than ours.
    hurried: bool,
}

impl<'b> Target<'b> {
    /// Reads `backend`, `org_id` and `timeout`.
    pub(crate) fn read(reach: Reach<'b>, arguments: &Arguments) -> Result<Self, ArgumentError> {
        let backend = pick(reach, arguments.text("backend")?)?;
        let org = match arguments.text("org_id")? {
            None => backend.org_id(),
            Some(wanted) => Some(allowed(backend, wanted)?),
        };
        let wanted = arguments.span("timeout")?.map(Span::duration);
        let shorter = wanted.filter(|wanted| *wanted < backend.timeout());
        let deadline = shorter.unwrap_or(backend.timeout());
        Ok(Self { backend, org, deadline, hurried: shorter.is_some() })
    }

    /// A question with these parameters; a parameter without a value is left out.
    pub(crate) fn question(
        self,
        endpoint: Endpoint,
        parameters: &[(&str, Option<&str>)],
    ) -> Question<'b> {
        let mut form = form_urlencoded::Serializer::new(String::with_capacity(256));
        for (name, value) in parameters {
            if let Some(value) = value {
                form.append_pair(name, value);
            }
        }
        let Self { org, deadline, hurried, backend: _ } = self;
        Question {
            endpoint,
            form: form.finish(),
            org,
            deadline,
            hurried,
            upstream: None,
            trace: None,
        }
    }

    /// The limit to give the backend itself: a little shorter than ours, so that its own words
    /// about it reach the caller.
    pub(crate) fn backend_timeout_s(self) -> String {
        let margin = (self.deadline / 10).min(Duration::from_millis(500));
        format!("{:.3}", self.deadline.saturating_sub(margin).as_secs_f64())
    }

    pub(crate) fn failed(self, source: BackendError) -> ToolError {
        ToolError::Backend {
            backend: self.backend.name().clone(),
            has_org: self.org.is_some(),
            hurried: self.hurried,
            source,
        }
    }

    pub(crate) fn unreadable(self, what: &'static str) -> ToolError {
        ToolError::Unreadable { backend: self.backend.name().clone(), what }
    }
}

/// The backend that a call names, or the only one. One that the caller may not use is as if it did not
/// exist.
fn pick<'b>(reach: Reach<'b>, wanted: Option<&str>) -> Result<&'b Backend, ArgumentError> {
    let known = || reach.all().map(|b| b.name().as_str()).collect::<Vec<_>>().join(", ");
    let mut backends = reach.all();
    let Some(first) = backends.next() else { return Err(ArgumentError::NoBackend) };
    let Some(name) = wanted else {
        let only = backends.next().is_none();
        return if only { Ok(first) } else { Err(ArgumentError::BackendNeeded { known: known() }) };
    };
    let unknown =
        |denied| ArgumentError::UnknownBackend { got: echo(name), known: known(), denied };
    match reach.named(name) {
        Named::Allowed(backend) => Ok(backend),
        Named::Denied => Err(unknown(true)),
        Named::Unknown => Err(unknown(false)),
    }
}

/// The tenant that a call names, if the operator made it available.
fn allowed<'b>(backend: &'b Backend, wanted: &str) -> Result<&'b OrgId, ArgumentError> {
    backend.orgs().find(|org| org.as_str() == wanted).ok_or_else(|| ArgumentError::OrgRefused {
        got: echo(wanted),
        backend: backend.name().clone(),
        allowed: backend.orgs().map(OrgId::as_str).collect::<Vec<_>>().join(", "),
    })
}
