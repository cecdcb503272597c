//! News that the server has for all its clients.

use std::{
    fmt,
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use rmcp::model::{
    PromptListChangedNotification, ResourceListChangedNotification, ResourceUpdatedNotification,
    ResourceUpdatedNotificationParam, ServerNotification, SubscriptionFilter,
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
