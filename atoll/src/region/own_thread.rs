//! A runtime with one thread, for a room that must not wait for what the others do.
//!
//! The plane's member has one. Its heartbeats go out while the gateway has all the requests that it can take, and a change of the plane,
//! which passes a dozen tasks one after another, is not handed from thread to thread on its way: that took a tenth of its time.

use std::{future::Future, io, thread};

use axum::{
    Router,
    extract::{Request, State},
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
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

/// Routes whose requests are answered on that runtime, wherever they come in.
pub(super) fn answered_on(runtime: Handle, routes: Router) -> Router {
    routes.layer(middleware::from_fn_with_state(runtime, elsewhere))
}

async fn elsewhere(State(runtime): State<Handle>, request: Request, next: Next) -> Response {
    match runtime.spawn(next.run(request)).await {
        Ok(response) => response,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Only a region that ends has no runtime for it.
            Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::{body::Body, routing::get};
    use tower::ServiceExt;

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

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_comes_in_on_it_for_others_is_answered_on_their_threads() {
        let name = || async { thread::current().name().unwrap_or_default().to_owned() };
        let answering_thread = async |routes: Router| {
            let thread = OwnThread::start("apart").expect("a thread");
            let response = thread.run(routes.oneshot(Request::new(Body::empty()))).await.expect("never fails");
            let body = axum::body::to_bytes(response.into_body(), 100).await.expect("a name");
            String::from_utf8_lossy(&body).into_owned()
        };
        let routes = Router::new().route("/", get(name));
        assert_eq!(answering_thread(routes.clone()).await, "apart");
        let others = answering_thread(answered_on(Handle::current(), routes)).await;
        assert_ne!(others, "apart");
    }

    #[tokio::test]
    async fn it_may_be_dropped_by_somebody_who_must_not_wait() {
        let thread = OwnThread::start("apart").expect("a thread");
        let (ended,) = thread.run(async { (tokio::spawn(std::future::pending::<()>()),) }).await;
        drop(thread);
        assert!(ended.await.expect_err("it is over").is_cancelled());
    }
}
