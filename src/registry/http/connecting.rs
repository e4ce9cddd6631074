//! Whether a request has a connection to go by, which its client does not say of one that is given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task_local;

task_local! {
    static ASKED_BY: Connecting;
}

/// Whether the connection that a request waits for is still to come about.
#[derive(Clone, Default)]
pub struct Connecting(Arc<AtomicBool>);

impl Connecting {
    /// Does what asks for a connection.
    pub async fn during<T>(&self, asks: impl Future<Output = T>) -> T {
        ASKED_BY.scope(self.clone(), asks).await
    }

    pub fn is_under_way(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    fn set(&self, is_under_way: bool) {
        self.0.store(is_under_way, Ordering::Relaxed);
    }
}

/// Makes a connection, and tells whoever asked for it that it is under way. A client may finish it on behalf of others,
/// where one that was in use became free first.
pub fn telling<T, E>(connects: impl Future<Output = Result<T, E>>) -> impl Future<Output = Result<T, E>> {
    let connecting = ASKED_BY.try_with(Clone::clone).unwrap_or_default();
    async move {
        connecting.set(true);
        let came = connects.await;
        connecting.set(false);
        came
    }
}
