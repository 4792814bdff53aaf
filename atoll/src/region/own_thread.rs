//! A runtime with one thread, for a room that must not wait for what the others do.
//!
//! The plane's member has one. Its heartbeats go out while the gateway has all the requests that it can take, and a change of the plane,
//! which passes a dozen tasks one after another, is not handed from thread to thread on its way: that took a tenth of its time.

use std::{future::Future, io, thread};

use tokio::{
    runtime::{Builder, Handle},
    sync::oneshot,
};

/// The thread. What was started on it ends with it.
pub(super) struct OwnThread {
    runtime: Handle,
    /// Dropped, it tells the thread to end.
    _end: oneshot::Sender<()>,
}

impl OwnThread {
    /// Starts it.
    pub(super) fn start(name: &str) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (end, ended) = oneshot::channel::<()>();
        // Nobody waits for it, since whoever drops the sender runs on another runtime.
        thread::Builder::new().name(name.to_owned()).spawn(move || drop(runtime.block_on(ended)))?;
        Ok(Self { runtime: handle, _end: end })
    }

    /// Runs `work` on it, and whatever that starts, and waits for what comes of it. A panic of it is one of the caller.
    pub(super) async fn run<W>(&self, work: W) -> W::Output
    where
        W: Future<Output: Send> + Send + 'static,
    {
        match self.runtime.spawn(work).await {
            Ok(output) => output,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn what_runs_on_it_goes_on_while_the_runtime_of_the_others_stands_still() {
        let thread = OwnThread::start("apart").expect("a thread");
        let (ask, mut asked) = mpsc::unbounded_channel::<u32>();
        let (answer, answers) = std::sync::mpsc::channel();
        let answering = async move {
            let name = thread::current().name().map(str::to_owned);
            while let Some(number) = asked.recv().await {
                let _ = answer.send((number + 1, name.clone()));
            }
        };
        thread
            .run(async move {
                tokio::spawn(answering);
            })
            .await;
        ask.send(6).expect("it listens");
        // This holds the only thread that the test's own runtime has.
        let answered = answers.recv_timeout(Duration::from_secs(30)).expect("an answer");
        assert_eq!(answered, (7, Some("apart".to_owned())));
    }

    #[tokio::test]
    async fn it_may_be_dropped_by_somebody_who_must_not_wait() {
        let thread = OwnThread::start("apart").expect("a thread");
        let (ended,) = thread.run(async { (tokio::spawn(std::future::pending::<()>()),) }).await;
        drop(thread);
        assert!(ended.await.expect_err("it is over").is_cancelled());
    }
}
