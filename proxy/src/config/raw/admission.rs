//! Keys of authorization and rate limits.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who may use which tools on which backends. Without rules, everyone who is let in may use all; with rules,
/// what none of them allows is denied.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Authorization {
    /// The rules. Each allows something; their order does not matter.
    pub(crate) rules: Vec<Rule>,
}

/// A rule that allows something.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name", "who"]))]
pub(crate) struct Rule {
    /// Its name in logs.
    pub(crate) name: Option<String>,
    /// Whom it is about: `anyone`, with a token or without one, or a section of what a token must say.
    pub(crate) who: Option<Who>,
    /// Tools that it allows: names, or globs such as `prometheus_*`.
    pub(crate) tools: Vec<String>,
    /// Backends on which it allows them: names, or globs such as `prod-*`.
    pub(crate) backends: Vec<String>,
}

impl Default for Rule {
    fn default() -> Self {
        let all = || vec!["*".to_owned()];
        Self { name: None, who: None, tools: all(), backends: all() }
    }
}

/// `anyone`, or what a token must say: all of the keys that are given must fit.
#[derive(Default, PartialEq, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(
    title = "`anyone` or a section",
    extend("type" = ["string", "object"], "pattern" = "^anyone$", "examples" = ["anyone"])
)]
pub(crate) struct Who {
    /// What `form.rs` makes of the word `anyone`; no key of a file.
    #[schemars(skip)]
    pub(crate) anyone: bool,
    /// One of these issuers.
    pub(crate) issuers: Vec<String>,
    /// One of these subjects.
    pub(crate) subjects: Vec<String>,
    /// A member of one of these groups.
    pub(crate) groups: Vec<String>,
    /// Holder of all of these scopes.
    pub(crate) scopes: Vec<String>,
    /// A CEL expression over `payload` that is true.
    pub(crate) condition: Option<String>,
}

/// How often something may happen: a number for each second, minute or hour, as in `600/m`; or `off` for no
/// limit.
#[derive(Clone, Deserialize, Serialize, JsonSchema)]
#[serde(transparent)]
#[schemars(
    title = "a rate",
    extend("examples" = ["600/m", "10/s"], "pattern" = "^(off|[1-9][0-9]*/[smh])$")
)]
pub(crate) struct RateText(pub(crate) String);

fn rate(text: &str) -> RateText {
    RateText(text.to_owned())
}

/// How much each address and each principal may ask for; what is over it is answered with 429.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RateLimits {
    /// For each client address; for IPv6, each network of 64 bits.
    pub(crate) address: AddressLimits,
    /// For each principal: issuer and subject of a token; where nobody is asked for one, each client address.
    pub(crate) principal: PrincipalLimits,
    /// Calls of each principal, by tool. The first entry that fits a tool counts.
    pub(crate) tools: Vec<ToolLimit>,
    /// Most addresses, and most principals, remembered; the one not seen for longest is forgotten.
    pub(crate) entries_max: u64,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self {
            address: AddressLimits::default(),
            principal: PrincipalLimits::default(),
            tools: Vec::new(),
            entries_max: 100_000,
        }
    }
}

/// Limits of each client address.
#[derive(Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct AddressLimits {
    /// Requests. Leave room for networks that share one address.
    pub(crate) requests: RateText,
    /// Most requests at once; when absent, as many as the number in `requests`.
    pub(crate) burst: Option<u64>,
    /// Requests whose token is refused at or before its signature. Beyond it, tokens of that address that were not
    /// accepted before are answered with 429; those that were, and requests without a token, are served as ever.
    pub(crate) failed_authentications: RateText,
    /// Most of them at once.
    pub(crate) failed_burst: u64,
}

impl Default for AddressLimits {
    fn default() -> Self {
        Self {
            requests: rate("off"),
            burst: None,
            failed_authentications: rate("30/m"),
            failed_burst: 30,
        }
    }
}

/// Limits of each principal. Those that are not written are off where nobody is asked for a token.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct PrincipalLimits {
    /// Requests. With tokens `6000/m` unless written.
    pub(crate) requests: Option<RateText>,
    /// Most requests at once; 500 unless written.
    pub(crate) burst: Option<u64>,
    /// Most requests that are being served; open streams that only wait do not count. `0` is no bound. With tokens
    /// 64 unless written.
    pub(crate) in_flight_max: Option<u64>,
}

/// Limit of each principal's calls of some tools.
#[derive(Default, Deserialize, Serialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["tool", "requests"]))]
pub(crate) struct ToolLimit {
    /// A tool, or a glob such as `prometheus_*`.
    pub(crate) tool: Option<String>,
    /// Calls.
    pub(crate) requests: Option<RateText>,
    /// Most calls at once; when absent, as many as the number in `requests`.
    pub(crate) burst: Option<u64>,
}
