//! Who may use which tools on which backends.

use globset::Glob;
use mcp_core::tools::TOOL_NAMES;

use super::{Check, LABEL_BYTES_MAX};
use crate::config::{Authentication, Authorization, Rule, Who, place::At, raw};

/// Most rules, and most entries in one list of a rule.
const RULES_MAX: usize = 256;
const ENTRIES_MAX: usize = 1000;
/// Longest glob, in bytes.
const GLOB_BYTES_MAX: usize = 256;

/// What a glob must fit, and what to say of that.
#[derive(Clone, Copy)]
pub(super) struct Names<'a> {
    all: &'a [&'a str],
    none: &'static str,
    list: &'static str,
}

/// The tools.
pub(super) const TOOLS: Names<'static> =
    Names { all: &TOOL_NAMES, none: "fits no tool", list: "the tools are" };

impl Check<'_> {
    pub(super) fn authorization(
        &mut self,
        raw: raw::Authorization,
        authentication: &Authentication,
        backends: &[&str],
    ) -> Authorization {
        let at = At::from(["authorization", "rules"]);
        if raw.rules.len() > RULES_MAX {
            let what = format!("there are more than {RULES_MAX} rules");
            self.faults.push(&at, what, "join some");
        }
        let backends = Names { all: backends, none: "fits no backend", list: "the backends are" };
        let mut rules: Vec<Rule> = Vec::with_capacity(raw.rules.len());
        for (index, raw) in raw.rules.into_iter().enumerate() {
            let place = at.item(index);
            let name = self.rule_name(&place.key("name"), raw.name.as_deref(), &rules);
            let who = self.who(&place.key("who"), raw.who, authentication);
            let tools = self.globs(&place.key("tools"), raw.tools, TOOLS);
            let backends = self.globs(&place.key("backends"), raw.backends, backends);
            rules.push(Rule { name: name.into(), who, tools, backends });
        }
        Authorization { rules }
    }

    fn rule_name<'r>(&mut self, at: &At, name: Option<&'r str>, others: &[Rule]) -> &'r str {
        let name = name.unwrap_or_default();
        let bad = name.len() > LABEL_BYTES_MAX || name.chars().any(char::is_control);
        if name.is_empty() {
            self.faults.push_unless_known(
                at,
                "is missing",
                "name the rule, for logs and for you, as in `name: sre`",
            );
        } else if bad {
            self.faults.push(
                at,
                "is longer than 128 bytes or holds a control character",
                "write a short text",
            );
        } else if others.iter().any(|rule| *rule.name == *name) {
            self.faults.push(at, "another rule has this name", "rename one of them");
        }
        name
    }

    fn who(&mut self, at: &At, raw: Option<raw::Who>, authentication: &Authentication) -> Who {
        let Some(raw) = raw else {
            self.faults.push_unless_known(
                at,
                "is missing",
                "write `anyone`, or what a token must say, as in `{groups: [sre]}`",
            );
            return Who::Anyone;
        };
        if raw.anyone {
            return Who::Anyone;
        }
        if raw == raw::Who::default() && !self.faults.any_in(at) {
            self.faults.push_unless_known(
                at,
                "says nothing of a token",
                "write `anyone` if everyone is meant, or what a token must say, as in `{groups: [sre]}`",
            );
        }
        let known = authentication.verification().map(|verification| &verification.issuers);
        if known.is_none() && !self.faults.any_in(&At::from(["middleware", "jwt"])) {
            self.faults.push_unless_known(
                at,
                "no token is verified, so this is nobody",
                "write `middleware.jwt.enabled: true` and whose tokens are good, or `who: anyone`",
            );
        }
        let names = !raw.subjects.is_empty() || !raw.groups.is_empty();
        if names && raw.issuers.is_empty() && known.is_some_and(|known| known.len() > 1) {
            self.faults.push_unless_known(
                &at.key("issuers"),
                "is missing, though there are several issuers, so the subjects or groups of any of them would do",
                "name the issuers that are meant",
            );
        }
        for (place, issuer) in self.limited(&at.key("issuers"), &raw.issuers) {
            if known.is_some_and(|known| !known.iter().any(|known| known.policy.issuer == issuer)) {
                self.faults.push(
                    &place,
                    "there is no such issuer",
                    "write it exactly as in `middleware.jwt.validation.local`, or add it there",
                );
            }
        }
        Who::Principal {
            issuers: raw.issuers,
            subjects: self.entries(&at.key("subjects"), &raw.subjects),
            groups: self.entries(&at.key("groups"), &raw.groups),
            scopes: self.scopes(&at.key("scopes"), &raw.scopes),
            condition: raw.condition.and_then(|text| self.expression(&at.key("condition"), &text)),
        }
    }

    fn entries(&mut self, at: &At, list: &[String]) -> Vec<String> {
        self.limited(at, list).into_iter().map(|(_, text)| text.to_owned()).collect()
    }

    fn limited<'l>(&mut self, at: &At, list: &'l [String]) -> Vec<(At, &'l str)> {
        if list.len() > ENTRIES_MAX {
            let what = format!("there are more than {ENTRIES_MAX} entries");
            self.faults.push(at, what, "give them a group of their own at the issuer");
        }
        self.items(at, list)
    }

    fn globs(&mut self, at: &At, list: Vec<String>, names: Names<'_>) -> Vec<String> {
        if list.is_empty() {
            self.faults.push_unless_known(
                at,
                "the list is empty, so the rule allows nothing",
                "remove the key to allow all, or remove the rule",
            );
        }
        for (place, glob) in self.limited(at, &list) {
            self.glob(&place, glob, names);
        }
        list
    }

    /// A glob that can be read and fits something.
    pub(super) fn glob(&mut self, at: &At, text: &str, names: Names<'_>) {
        let glob = (text.len() <= GLOB_BYTES_MAX).then(|| Glob::new(text).ok()).flatten();
        let Some(glob) = glob else {
            self.faults.push(
                at,
                "not a glob",
                "write a name, or a pattern with `*`, `?`, `[…]` or `{a,b}`, such as `prometheus_*`",
            );
            return;
        };
        let glob = glob.compile_matcher();
        if !names.all.is_empty() && !names.all.iter().any(|name| glob.is_match(name)) {
            let mend = format!("{} `{}`", names.list, names.all.join("`, `"));
            self.faults.push_unless_known(at, names.none, mend);
        }
    }
}
