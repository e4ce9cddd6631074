//! Whether a request has a connection to go by, which its client does not say of one that is given up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;
use tokio::task_local;
use tower::{Layer, Service, ServiceExt};

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

/// Makes connections as its inner service does, and tells whoever asked for one that it is under way. A client may finish
/// it on behalf of others, where one that was in use became free first. A request clones it several times, and the inner
/// one, which is large, only to make a connection.
#[derive(Clone)]
pub struct Telling<S>(Arc<S>);

#[derive(Clone)]
pub struct TellingLayer;

impl<S> Layer<S> for TellingLayer {
    type Service = Telling<S>;

    fn layer(&self, inner: S) -> Telling<S> {
        Telling(Arc::new(inner))
    }
}

impl<S, R> Service<R> for Telling<S>
where
    S: Service<R, Future: Send> + Clone + Send + Sync + 'static,
    R: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, to: R) -> Self::Future {
        let connecting = ASKED_BY.try_with(Clone::clone).unwrap_or_default();
        let inner = (*self.0).clone();
        Box::pin(async move {
            connecting.set(true);
            let came = inner.oneshot(to).await;
            connecting.set(false);
            came
        })
    }
}
