//! The end of a member's connection that asks. Questions in, answers out, under numbers of its own.
//!
//! ```text
//! ask ──→ queue ──→ ┌ one task a connection ┐ ──frames──→ the peer's answerer.rs
//!  ↑                │ number → who waits    │                    │
//!  └────────────────└───────────────────────┘ ←─────frames───────┘
//! ```
//!
//! Over a connection that is there, questions leave in the order in which they were asked, and the peer takes them up in that order.

use std::{collections::HashMap, convert::Infallible, io, sync::Arc, time::Duration};

use bytes::Bytes;
use plane_client::{
    CallError, Endpoint,
    kept::{self, Connection, Generation, Kept},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, split},
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout},
};
use tokio_rustls::TlsConnector;

use super::{
    carrier::CallFailure,
    frames::{ALIVE, DONE, Frame, Incoming, Outgoing, PROTOCOL},
    rpc::Ask,
};

/// A dial that takes longer has failed.
const DIAL_WITHIN: Duration = Duration::from_secs(2);
/// With nothing to ask for this long, a connection says that it is still wanted.
pub(super) const ALIVE_EVERY: Duration = Duration::from_secs(20);
/// Questions that wait for the connection's task.
const QUEUE: usize = 64;
/// Questions without an answer at once; more wait in the queue. Far more than raft has.
const ASKED_MOST: usize = 1024;
/// The longest answer, bytes: a vote and two log ids, or an outcome, whose refusal may name many names. A longer one costs the
/// connection.
const ANSWER_MOST: usize = 1 << 20;

/// Asks one peer.
pub(super) struct Caller {
    endpoint: Endpoint,
    kept: Kept<Questions>,
}

/// The way into a connection's task.
#[derive(Clone)]
struct Questions {
    queue: mpsc::Sender<Question>,
    /// With the last one of these the connection ends, even in the middle of a message: nobody waits for anything on it any more.
    _wanted: Arc<oneshot::Sender<Infallible>>,
}

impl Connection for Questions {
    fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }
}

struct Question {
    what: Ask,
    body: Bytes,
    tell: oneshot::Sender<Frame>,
}

impl Caller {
    pub(super) fn new(endpoint: Endpoint, tls: TlsConnector) -> Self {
        let to = endpoint.clone();
        let dial = move || {
            let (endpoint, tls) = (to.clone(), tls.clone());
            Box::pin(async move { Ok(begin(kept::connect(&endpoint, &tls, PROTOCOL).await?)) }) as _
        };
        Self { endpoint, kept: Kept::new(DIAL_WITHIN, dial) }
    }

    /// One question, one answer, one deadline for both, dialling included.
    pub(super) async fn ask(&self, what: Ask, body: Bytes, within: Duration) -> Result<Bytes, CallFailure> {
        let mut on = None;
        let answer = match timeout(within, self.send(what, body, &mut on)).await {
            Ok(answer) => answer?,
            Err(_) => return Err(self.kept.gave_up(&self.endpoint, within, on).into()),
        };
        if answer.what == DONE {
            return Ok(answer.body);
        }
        let why = String::from_utf8_lossy(&answer.body).chars().take(200).collect();
        Err(CallFailure::Refused { endpoint: self.endpoint.clone(), why })
    }

    async fn send(&self, what: Ask, body: Bytes, on: &mut Option<Generation>) -> Result<Frame, CallError> {
        let (tell, told) = oneshot::channel();
        let mut question = Question { what, body, tell };
        loop {
            let dialled = self.kept.get().await;
            let (questions, generation) =
                dialled.map_err(|why| CallError::Unreachable { endpoint: self.endpoint.clone(), why })?;
            match questions.queue.send(question).await {
                Ok(()) => {
                    *on = Some(generation);
                    // Held meanwhile: a connection that others have given up ends with its last question.
                    let answer = told.await;
                    drop(questions);
                    let broken = |_| {
                        let why = "it ended before the answer had come".into();
                        CallError::Broken { endpoint: self.endpoint.clone(), why }
                    };
                    return answer.inspect(|_| self.kept.answered(generation)).map_err(broken);
                }
                // Its task has ended since, so the question did not leave.
                Err(unsent) => {
                    self.kept.condemn(generation);
                    question = unsent.0;
                }
            }
        }
    }
}

/// Starts the task of a connection.
fn begin(stream: impl AsyncRead + AsyncWrite + Send + 'static) -> Questions {
    let (queue, questions) = mpsc::channel(QUEUE);
    let (wanted, given_up) = oneshot::channel();
    tokio::spawn(async move {
        // Whoever waits for an answer sees that there will be none.
        tokio::select! {
            ended = run(stream, questions) => if let Err(error) = ended {
                tracing::debug!(%error, "a connection to another member broke");
            },
            _ = given_up => {}
        }
    });
    Questions { queue, _wanted: Arc::new(wanted) }
}

async fn run(stream: impl AsyncRead + AsyncWrite, mut queue: mpsc::Receiver<Question>) -> io::Result<()> {
    let (mut reader, mut writer) = split(stream);
    let (mut incoming, mut outgoing) = (Incoming::new(ANSWER_MOST), Outgoing::default());
    let mut waiting = HashMap::new();
    let mut numbers = 0_u32;
    let mut asked = Instant::now();
    let mut look = std::pin::pin!(sleep(ALIVE_EVERY));
    loop {
        if waiting.len() >= ASKED_MOST {
            waiting.retain(|_, tell: &mut oneshot::Sender<Frame>| !tell.is_closed());
        }
        tokio::select! {
            biased;
            sent = outgoing.send(&mut writer), if !outgoing.is_idle() => sent?,
            frame = incoming.next(&mut reader) => {
                let Some(frame) = frame? else { return Ok(()) };
                // Nobody may wait any more.
                let _ = waiting.remove(&frame.number).map(|tell| tell.send(frame));
            }
            question = queue.recv(), if outgoing.has_room() && waiting.len() < ASKED_MOST => {
                let Some(Question { what, body, tell }) = question else { return Ok(()) };
                asked = Instant::now();
                numbers = numbers.wrapping_add(1);
                outgoing.push(numbers, what as u8, &body);
                waiting.insert(numbers, tell);
            }
            () = look.as_mut() => {
                if asked.elapsed() >= ALIVE_EVERY {
                    outgoing.push(0, ALIVE, &[]);
                }
                look.as_mut().reset(Instant::now() + ALIVE_EVERY);
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::io::{DuplexStream, duplex};

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    /// A caller whose dials are pipes, and how many it made. Each peer's end is given to `serve`.
    pub(in crate::raft) fn over_pipes<F>(
        serve: impl Fn(DuplexStream) -> F + Send + Sync + 'static,
    ) -> (Caller, Arc<AtomicUsize>)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let dials = Arc::new(AtomicUsize::new(0));
        let (counted, serve) = (dials.clone(), Arc::new(serve));
        let dial = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            let serve = serve.clone();
            Box::pin(async move {
                let (near, far) = duplex(1000);
                tokio::spawn(serve(far));
                Ok(begin(near))
            }) as _
        };
        let endpoint = Endpoint::region("eu-west".parse().expect("a name"), ([127, 0, 0, 1], 1).into());
        (Caller { endpoint, kept: Kept::new(DIAL_WITHIN, dial) }, dials)
    }

    /// Answers each body with itself, pairs of questions the other way round, and none that begins with a full stop.
    async fn mirror(stream: DuplexStream) {
        let (mut reader, mut writer) = split(stream);
        let (mut incoming, mut outgoing, mut kept) = (Incoming::new(1 << 20), Outgoing::default(), None);
        while let Ok(Some(frame)) = incoming.next(&mut reader).await {
            match frame.body.first() {
                Some(b'.') => {}
                Some(b'x') => return,
                Some(b'?') => outgoing.push(frame.number, 1, "not understood".repeat(100).as_bytes()),
                Some(b'1') => kept = Some(frame),
                _ => {
                    outgoing.push(frame.number, DONE, &frame.body);
                    if let Some(kept) = kept.take() {
                        outgoing.push(kept.number, DONE, &kept.body);
                    }
                }
            }
            outgoing.send(&mut writer).await.expect("it reads");
        }
    }

    fn asking<'c>(
        caller: &'c Caller,
        body: &'static str,
        within: Duration,
    ) -> impl Future<Output = Result<Bytes, CallFailure>> + 'c {
        caller.ask(Ask::Pulse, Bytes::from_static(body.as_bytes()), within)
    }

    #[tokio::test]
    async fn many_questions_share_a_connection_and_answers_find_theirs_in_any_order() {
        let (caller, dials) = over_pipes(mirror);
        asking(&caller, "0", LONG).await.expect("an answer");
        let (one, two) = tokio::join!(asking(&caller, "1", LONG), asking(&caller, "2", LONG));
        assert_eq!((one.expect("an answer"), two.expect("an answer")), (Bytes::from("1"), Bytes::from("2")));
        let refused = asking(&caller, "?", LONG).await.expect_err("refused");
        assert!(matches!(&refused, CallFailure::Refused { why, .. } if why.len() == 200), "{refused}");
        let long = Bytes::from(vec![7; ANSWER_MOST]);
        assert_eq!(caller.ask(Ask::Pulse, long.clone(), LONG).await.expect("an answer"), long);
        assert_eq!(dials.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn one_that_ends_is_dialled_again_and_what_was_under_way_has_an_unknown_end() {
        let (caller, dials) = over_pipes(mirror);
        let (waits, ends) = tokio::join!(asking(&caller, ".", LONG), asking(&caller, "x", LONG));
        for failed in [waits.expect_err("no answer"), ends.expect_err("no answer")] {
            assert!(matches!(failed, CallFailure::Call(CallError::Broken { .. })), "{failed}");
            assert!(failed.outcome_unknown());
        }
        asking(&caller, "2", LONG).await.expect("an answer");
        assert_eq!(dials.load(Ordering::Relaxed), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_deadline_holds_and_two_in_a_row_without_an_answer_condemn_the_connection() {
        let (caller, dials) = over_pipes(mirror);
        let short = Duration::from_millis(100);
        for (body, so_far) in [("2", 1), (".", 1), ("2", 1), (".", 1), (".", 1), ("2", 2)] {
            let answered = asking(&caller, body, if body == "." { short } else { LONG }).await;
            match body {
                "." => assert!(matches!(answered, Err(CallFailure::Call(CallError::Timeout { .. })))),
                _ => assert!(answered.is_ok()),
            }
            assert_eq!(dials.load(Ordering::Relaxed), so_far);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_cannot_be_dialled_has_not_been_asked() {
        let endpoint = Endpoint::region("eu-west".parse().expect("a name"), ([127, 0, 0, 1], 1).into());
        let silent = || Box::pin(std::future::pending()) as _;
        let caller = Caller { endpoint, kept: Kept::new(DIAL_WITHIN, silent) };
        for within in [Duration::from_millis(10), LONG] {
            let failed = asking(&caller, "2", within).await.expect_err("nobody");
            assert!(matches!(failed, CallFailure::Call(CallError::Unreachable { .. })), "{failed}");
            assert!(!failed.outcome_unknown());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_was_given_up_in_the_middle_of_a_long_question_ends() {
        let ends = Arc::new(AtomicUsize::new(0));
        let ended = ends.clone();
        let (caller, dials) = over_pipes(move |mut held| {
            let ended = ended.clone();
            async move {
                // It reads what it must to see the end, ever so slowly.
                let mut bytes = [0; 100];
                while tokio::io::AsyncReadExt::read(&mut held, &mut bytes).await.is_ok_and(|read| read > 0) {
                    sleep(Duration::from_secs(1)).await;
                }
                ended.fetch_add(1, Ordering::Relaxed);
            }
        });
        let long = Bytes::from(vec![7; 3 << 20]);
        for _ in 0..2 {
            caller.ask(Ask::Append, long.clone(), Duration::from_millis(50)).await.expect_err("it takes an hour");
        }
        sleep(Duration::from_secs(60)).await;
        assert_eq!((dials.load(Ordering::Relaxed), ends.load(Ordering::Relaxed)), (1, 1));
    }

    #[tokio::test]
    async fn a_peer_that_reads_nothing_holds_up_its_own_questions_only_until_their_deadline() {
        let (caller, _) = over_pipes(|held| async move {
            std::future::pending::<()>().await;
            drop(held);
        });
        let long = Bytes::from(vec![7; 100_000]);
        let failed = caller.ask(Ask::Append, long, Duration::from_millis(50)).await.expect_err("nobody reads");
        assert!(matches!(failed, CallFailure::Call(CallError::Timeout { .. })), "{failed}");
    }
}
