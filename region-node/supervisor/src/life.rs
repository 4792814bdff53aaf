//! Small things that end with a life of a worker.

use std::future::Future;

use tokio::task::JoinHandle;

/// A task that ends when this is dropped.
pub(crate) struct Abort(JoinHandle<()>);

impl Abort {
    pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) -> Self {
        Self(tokio::spawn(task))
    }

    /// Waits for its end.
    pub(crate) async fn ended(&mut self) {
        // An error means that it was aborted or panicked: it has ended in any case.
        let _ = (&mut self.0).await;
    }
}

impl Drop for Abort {
    fn drop(&mut self) {
        self.0.abort();
    }
}
