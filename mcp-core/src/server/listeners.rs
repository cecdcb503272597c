//! The `subscriptions/listen` streams of one worker.
//!
//! Spec: MCP 2026-07-28, Subscriptions.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use rmcp::model::{
    GetMeta, RequestId, ServerNotification, SubscriptionFilter,
    SubscriptionsAcknowledgedNotification, SubscriptionsAcknowledgedNotificationParams,
};

use super::changes::Change;
use crate::call::{Outbox, frame, notification_message};

/// Frames that may wait for one listener; one that is further behind is cut off.
pub(super) const LISTENER_FRAMES_MAX: usize = 64;

#[derive(Debug)]
struct Listener {
    id: RequestId,
    filter: SubscriptionFilter,
    outbox: Arc<Outbox>,
}

/// The listeners of one worker.
#[derive(Debug)]
pub(super) struct Listeners {
    listeners_max: usize,
    listeners: Mutex<Vec<Listener>>,
}

impl Listeners {
    pub(super) fn new(listeners_max: usize) -> Self {
        Self { listeners_max, listeners: Mutex::default() }
    }

    /// Adds a listener and queues its acknowledgement. `None` when there are too many.
    pub(super) fn add(&self, id: RequestId, filter: SubscriptionFilter) -> Option<Arc<Outbox>> {
        let params = SubscriptionsAcknowledgedNotificationParams::new(filter.clone());
        let acknowledged = SubscriptionsAcknowledgedNotification::new(params);
        let outbox = Arc::new(Outbox::new(LISTENER_FRAMES_MAX));
        outbox.try_push(tagged(acknowledged.into(), &id)?).ok()?;
        let mut listeners = self.listeners.lock();
        if listeners.len() >= self.listeners_max {
            return None;
        }
        listeners.push(Listener { id, filter, outbox: Arc::clone(&outbox) });
        Some(outbox)
    }

    pub(super) fn remove(&self, outbox: &Arc<Outbox>) {
        self.listeners.lock().retain(|listener| !Arc::ptr_eq(&listener.outbox, outbox));
    }

    /// Tells those who asked for it.
    pub(super) fn hear(&self, change: &Change) {
        for listener in self.listeners.lock().iter().filter(|l| change.passes(&l.filter)) {
            let told = tagged(change.notification(), &listener.id)
                .is_some_and(|frame| listener.outbox.try_push(frame).is_ok());
            if !told {
                listener.outbox.close();
            }
        }
    }
}

fn tagged(mut notification: ServerNotification, id: &RequestId) -> Option<Bytes> {
    notification.get_meta_mut().set_subscription_id(id.clone());
    frame(&notification_message(notification)).ok()
}
