//! News that the server has for all its clients.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use rmcp::model::{
    PromptListChangedNotification, ResourceListChangedNotification, ResourceUpdatedNotification,
    ResourceUpdatedNotificationParam, ServerCapabilities, ServerNotification, SubscriptionFilter,
    ToolListChangedNotification,
};

/// Something that clients may want to read again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The list of tools.
    Tools,
    /// The list of prompts.
    Prompts,
    /// The list of resources.
    Resources,
    /// The resource of this URI.
    Resource(String),
}

impl Change {
    pub(super) fn notification(&self) -> ServerNotification {
        match self {
            Self::Tools => ToolListChangedNotification::default().into(),
            Self::Prompts => PromptListChangedNotification::default().into(),
            Self::Resources => ResourceListChangedNotification::default().into(),
            Self::Resource(uri) => {
                let params = ResourceUpdatedNotificationParam::new(uri.clone());
                ResourceUpdatedNotification::new(params).into()
            }
        }
    }

    /// All that a server of these capabilities may have announced to a client that was not there to hear it. Which
    /// resources have changed nobody knows; that their list may have is the nearest to it.
    pub(super) fn all_announced(capabilities: &ServerCapabilities) -> Vec<Self> {
        let ServerCapabilities { tools, prompts, resources, .. } = capabilities;
        let announced = [
            (tools.as_ref().and_then(|tools| tools.list_changed), Self::Tools),
            (prompts.as_ref().and_then(|prompts| prompts.list_changed), Self::Prompts),
            (resources.as_ref().and_then(|resources| resources.list_changed), Self::Resources),
        ];
        let announced = announced.into_iter().filter(|(changes, _)| *changes == Some(true));
        announced.map(|(_, change)| change).collect()
    }

    /// Whether a listener that asked for `filter` wants to hear it.
    pub(super) fn passes(&self, filter: &SubscriptionFilter) -> bool {
        match self {
            Self::Tools => filter.tools_list_changed == Some(true),
            Self::Prompts => filter.prompts_list_changed == Some(true),
            Self::Resources => filter.resources_list_changed == Some(true),
            Self::Resource(uri) => {
                filter.resource_subscriptions.as_ref().is_some_and(|uris| uris.contains(uri))
            }
        }
    }
}

/// Hears of changes.
pub(super) trait Audience: Send + Sync {
    fn hear(&self, change: &Change);
}

/// Where changes are announced. Clones announce to the same audience.
#[derive(Clone, Default)]
pub struct Changes(Arc<Mutex<Vec<Weak<dyn Audience>>>>);

impl Changes {
    /// Tells every open GET stream, and every `subscriptions/listen` that asked for it.
    pub fn announce(&self, change: &Change) {
        // Audience is called outside the lock.
        let audience: Vec<_> = self.0.lock().iter().filter_map(Weak::upgrade).collect();
        for listener in audience {
            listener.hear(change);
        }
    }

    pub(super) fn subscribe(&self, listener: Weak<dyn Audience>) {
        let mut audience = self.0.lock();
        audience.retain(|listener| listener.strong_count() > 0);
        audience.push(listener);
    }
}

impl fmt::Debug for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Changes(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_was_away_is_told_of_what_the_server_announces_and_of_nothing_else() {
        let tools = ServerCapabilities::builder().enable_tools().enable_tool_list_changed();
        assert_eq!(Change::all_announced(&tools.build()), [Change::Tools]);
        let all = ServerCapabilities::builder()
            .enable_tools()
            .enable_tool_list_changed()
            .enable_prompts()
            .enable_prompts_list_changed()
            .enable_resources()
            .enable_resources_list_changed();
        let lists = [Change::Tools, Change::Prompts, Change::Resources];
        assert_eq!(Change::all_announced(&all.build()), lists);
        let silent = ServerCapabilities::builder().enable_tools().enable_resources();
        assert_eq!(Change::all_announced(&silent.build()), []);
    }
}
