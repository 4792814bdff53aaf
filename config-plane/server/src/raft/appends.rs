//! Appends to one peer: one after another, and what is committed meanwhile beside them.
//!
//! ```text
//!   leader ──append 7──→ follower        another follower has acknowledged 7: it is committed
//!          ──commit 7──→                 at once, beside the append, as a heartbeat: no entries, after nothing
//!          ←────acked 7─                 openraft's own next append would tell it only now
//!          ←────────────                 and is answered by both answers: the log is there, the commit was heard
//! ```
//!
//! openraft hands over requests as fast as they are taken. Two with entries under way at a time would have to arrive in their order,
//! which a connection that is dialled anew in between does not keep; a follower that gets the second one first calls it a
//! conflict, and a conflict behind what has matched ends openraft's core. So only a request without entries is sent beside another
//! one, and as a heartbeat, which says where it belongs to nobody: a follower that gets it first keeps what is committed until the
//! entries are there.
//!
//! openraft reckons the answer to an append as one to all requests that end where it ends, the commit's later one included, so that
//! its leases are longer by a way to the peer than they are in truth. An append has three quarters of a heartbeat for that way, far
//! less than a lease, and whoever hands over refuses reads.

use std::future::Future;

use futures_util::{
    FutureExt, Stream, StreamExt,
    future::{BoxFuture, Either, select},
    stream::{self, BoxStream, Fuse},
};
use openraft::{
    OptionalSend,
    errors::RPCError,
    raft::{AppendEntriesRequest, AppendEntriesResponse, StreamAppendResult},
};

use super::types::{LogId, TypeConfig};

type Request = AppendEntriesRequest<TypeConfig>;
type Response = Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>>;
type Item = Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>;

/// The answers to the requests of `input`, in their order, until one is no success.
pub(super) fn answers<'p, S, A, F>(input: S, ask: A) -> BoxStream<'p, Item>
where
    S: Stream<Item = Request> + OptionalSend + Unpin + 'static,
    A: Fn(Request) -> F + Send + 'p,
    F: Future<Output = Response> + Send + 'p,
{
    let appends = Appends { input: input.fuse(), ask, next: None, told: None };
    stream::unfold(Some(appends), |appends| async { appends?.step().await }).boxed()
}

struct Appends<'p, S: Stream, A> {
    input: Fuse<S>,
    ask: A,
    /// Taken from the input while the one before it was under way.
    next: Option<Request>,
    /// What becomes of telling the commit of `next`.
    told: Option<BoxFuture<'p, Response>>,
}

impl<'p, S, A, F> Appends<'p, S, A>
where
    S: Stream<Item = Request> + Unpin,
    A: Fn(Request) -> F,
    F: Future<Output = Response> + Send + 'p,
{
    /// One answer, and what goes on after it.
    async fn step(mut self) -> Option<(Item, Option<Self>)> {
        let request = match self.next.take() {
            Some(next) => next,
            None => self.input.next().await?,
        };
        let (from, to) = (request.prev_log_id, end(&request));
        if let Some(told) = self.told.take()
            && matches!(told.await, Ok(AppendEntriesResponse::Success))
        {
            return Some((Ok(Ok(to)), Some(self)));
        }
        match self.append(request).await {
            Ok(answer) => {
                let whole = matches!(answer, AppendEntriesResponse::Success);
                Some((Ok(answer.into_stream_result(from, to)), whole.then_some(self)))
            }
            Err(error) => Some((Err(error), None)),
        }
    }

    /// Sends a request, and takes the one that comes meanwhile.
    async fn append(&mut self, request: Request) -> Response {
        let to = end(&request);
        let answer = Box::pin((self.ask)(request));
        let answer = match select(answer, self.input.next()).await {
            Either::Left((answer, _)) => return answer,
            Either::Right((next, answer)) => {
                self.next = next;
                answer
            }
        };
        let Some(commit) = self.next.as_ref().filter(|next| next.entries.is_empty() && next.prev_log_id == to) else {
            return answer.await;
        };
        let heartbeat = Request { prev_log_id: None, ..commit.clone() };
        match select(answer, (self.ask)(heartbeat).boxed()).await {
            Either::Left((answer, told)) => {
                self.told = Some(told);
                answer
            }
            Either::Right((told, answer)) => {
                self.told = Some(std::future::ready(told).boxed());
                answer.await
            }
        }
    }
}

/// Where a request ends: its last entry, or where it begins.
fn end(request: &Request) -> Option<LogId> {
    request.entries.last().map(|entry| entry.log_id).or(request.prev_log_id)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use openraft::{EntryPayload, errors::Unreachable, impls::leader_id_adv::LeaderId, raft::StreamAppendError};
    use tokio::{
        sync::{mpsc, oneshot},
        task::yield_now,
    };

    use super::*;
    use crate::raft::types::{Entry, Vote};

    fn id(index: u64) -> LogId {
        LogId { leader_id: LeaderId { term: 1, node_id: 1 }, index }
    }

    /// Entries from behind `prev` to `last`, and what is committed.
    fn request(prev: u64, last: u64, commit: u64) -> Request {
        let entry = |index| Entry { log_id: id(index), payload: EntryPayload::Blank };
        Request {
            vote: Vote::new_committed(1, 1),
            prev_log_id: Some(id(prev)),
            entries: (prev + 1..=last).map(entry).collect(),
            leader_commit: Some(id(commit)),
        }
    }

    type Asked = (Request, oneshot::Sender<Response>);

    /// What reached the peer, each to be answered by hand, and what came of it.
    struct Stage {
        input: Option<mpsc::UnboundedSender<Request>>,
        asked: Arc<Mutex<Vec<Asked>>>,
        answers: mpsc::UnboundedReceiver<Item>,
    }

    impl Stage {
        fn new() -> Self {
            let (input, requests) = mpsc::unbounded_channel();
            let (sent, answers) = mpsc::unbounded_channel();
            let asked = Arc::new(Mutex::new(Vec::new()));
            let heard = asked.clone();
            let ask = move |request| {
                let (answer, answered) = oneshot::channel();
                heard.lock().unwrap_or_else(PoisonError::into_inner).push((request, answer));
                async move { answered.await.unwrap_or(Ok(AppendEntriesResponse::Conflict)) }
            };
            tokio::spawn(async move {
                let mut answers = answers_of(requests, ask);
                while let Some(answer) = answers.next().await {
                    let _ = sent.send(answer);
                }
            });
            Self { input: Some(input), asked, answers }
        }

        /// Gives openraft's next requests, and tells what is at the peer then: `(prev, entries, commit)`.
        async fn give(&self, requests: impl IntoIterator<Item = Request>) -> Vec<(Option<u64>, usize, Option<u64>)> {
            let input = self.input.as_ref().expect("open");
            requests.into_iter().for_each(|request| input.send(request).expect("taken"));
            self.at_peer().await
        }

        async fn at_peer(&self) -> Vec<(Option<u64>, usize, Option<u64>)> {
            // One thread: whoever can go on has gone on after this.
            for _ in 0..50 {
                yield_now().await;
            }
            let index = |id: Option<LogId>| id.map(|id| id.index);
            let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
            asked.iter().map(|(r, _)| (index(r.prev_log_id), r.entries.len(), index(r.leader_commit))).collect()
        }

        /// The peer answers the request at a place.
        fn answer(&self, place: usize, response: Response) {
            let (_, answer) = self.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(place);
            let _ = answer.send(response);
        }

        async fn told(&mut self) -> Vec<String> {
            self.at_peer().await;
            let mut told = Vec::new();
            while let Ok(answer) = self.answers.try_recv() {
                told.push(match answer {
                    Ok(Ok(id)) => format!("has {}", id.map_or(0, |id| id.index)),
                    Ok(Err(StreamAppendError::Conflict(id))) => format!("conflict at {}", id.index),
                    Ok(Err(StreamAppendError::HigherVote(_))) => "a higher vote".into(),
                    Err(_) => "no answer".into(),
                });
            }
            told
        }
    }

    fn answers_of<A, F>(mut input: mpsc::UnboundedReceiver<Request>, ask: A) -> BoxStream<'static, Item>
    where
        A: Fn(Request) -> F + Send + 'static,
        F: Future<Output = Response> + Send + 'static,
    {
        answers(stream::poll_fn(move |cx| input.poll_recv(cx)), ask)
    }

    const YES: Response = Ok(AppendEntriesResponse::Success);

    fn unreachable() -> Response {
        Err(Unreachable::new(&std::io::Error::other("cut")).into())
    }

    #[tokio::test]
    async fn a_commit_is_told_beside_the_append_and_answered_behind_it() {
        let mut stage = Stage::new();
        assert_eq!(stage.give([request(6, 7, 6)]).await, [(Some(6), 1, Some(6))]);
        assert_eq!(stage.give([request(7, 7, 7)]).await, [(Some(6), 1, Some(6)), (None, 0, Some(7))]);
        stage.answer(1, YES);
        assert_eq!(stage.told().await, [""; 0], "nobody knows yet that the entry is there");
        stage.answer(0, YES);
        assert_eq!(stage.told().await, ["has 7", "has 7"]);
        assert_eq!(stage.give([request(7, 8, 7)]).await, [(Some(7), 1, Some(7))]);
        stage.answer(0, YES);
        assert_eq!(stage.told().await, ["has 8"]);
    }

    #[tokio::test]
    async fn the_append_is_answered_without_waiting_for_the_commit() {
        let mut stage = Stage::new();
        stage.give([request(6, 7, 6), request(7, 7, 7)]).await;
        stage.answer(0, YES);
        assert_eq!(stage.told().await, ["has 7"]);
        stage.answer(0, YES);
        assert_eq!(stage.told().await, ["has 7"]);
    }

    #[tokio::test]
    async fn a_commit_that_was_not_heard_is_told_once_more_in_its_turn() {
        for failed in [unreachable(), Ok(AppendEntriesResponse::Conflict)] {
            let mut stage = Stage::new();
            stage.give([request(6, 7, 6), request(7, 7, 7)]).await;
            stage.answer(1, failed);
            stage.answer(0, YES);
            assert_eq!(stage.told().await, ["has 7"]);
            assert_eq!(stage.at_peer().await, [(Some(7), 0, Some(7))]);
            stage.answer(0, YES);
            assert_eq!(stage.told().await, ["has 7"]);
        }
    }

    #[tokio::test]
    async fn entries_wait_for_those_before_them_and_so_does_what_follows_elsewhere() {
        let mut stage = Stage::new();
        let next = [request(6, 7, 6), request(7, 8, 6), request(8, 8, 7)];
        assert_eq!(stage.give(next).await, [(Some(6), 1, Some(6))], "two with entries could change places on the way");
        stage.answer(0, YES);
        assert_eq!(stage.at_peer().await, [(Some(7), 1, Some(6)), (None, 0, Some(7))]);
        assert_eq!(stage.told().await, ["has 7"]);
        let stage = Stage::new();
        assert_eq!(stage.give([request(6, 7, 6), request(5, 5, 5)]).await, [(Some(6), 1, Some(6))]);
    }

    #[tokio::test]
    async fn what_is_no_success_ends_it_and_so_does_the_end_of_the_requests() {
        for (failed, told) in [
            (unreachable(), "no answer"),
            (Ok(AppendEntriesResponse::Conflict), "conflict at 6"),
            (Ok(AppendEntriesResponse::HigherVote(Vote::new(2, 2))), "a higher vote"),
            (Ok(AppendEntriesResponse::PartialSuccess(Some(id(6)))), "has 6"),
        ] {
            let mut stage = Stage::new();
            stage.give([request(6, 7, 6), request(7, 7, 7), request(7, 8, 7)]).await;
            stage.answer(1, YES);
            stage.answer(0, failed);
            assert_eq!(stage.told().await, [told], "and not that the peer has 7");
            assert_eq!(stage.at_peer().await, []);
        }
        let mut stage = Stage::new();
        stage.give([request(6, 7, 6)]).await;
        stage.input = None;
        stage.answer(0, YES);
        assert_eq!(stage.told().await, ["has 7"]);
    }
}
