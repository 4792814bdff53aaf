//! The end of a member's connection that answers: each question in its own time, all in one task.
//!
//! Questions are taken up in the order in which they came, so that an append is with openraft before the one behind it; their
//! answers go out as they are ready. So many wait at once, and no more are read meanwhile.

use std::{io, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    io::{AsyncRead, AsyncWrite, split},
    sync::watch,
    time::{Instant, sleep},
};

use super::{
    frames::{ALIVE, DONE, Frame, Incoming, Outgoing, REFUSED},
    rpc::RpcFault,
    snapshot,
};
use crate::plane::asked_to_stop;

/// Questions under way at once on one connection.
const ASKED_MOST: usize = 128;
/// The longest question, bytes: a snapshot, or log entries of which two replace the World (`log_store.rs`).
pub(super) const QUESTION_MOST: usize = snapshot::MAX_BYTES + (1 << 20);
/// A connection on which nothing came for this long is closed: its peer is gone, or it would have said that it is still wanted.
const IDLE_MOST: Duration = Duration::from_secs(60);

/// Answers what comes over `stream` until the peer ends it, or this member is to stop and has answered what it was asked.
pub(crate) async fn run<A>(
    stream: impl AsyncRead + AsyncWrite,
    answer: impl Fn(u8, Bytes) -> A,
    mut stopping: watch::Receiver<bool>,
) -> io::Result<()>
where
    A: Future<Output = Result<Vec<u8>, RpcFault>>,
{
    let (mut reader, mut writer) = split(stream);
    let (mut incoming, mut outgoing) = (Incoming::new(QUESTION_MOST), Outgoing::default());
    let mut working = FuturesUnordered::new();
    let mut heard = Instant::now();
    let mut look = std::pin::pin!(sleep(IDLE_MOST));
    let mut is_stopping = false;
    while !(is_stopping && working.is_empty() && outgoing.is_idle()) {
        tokio::select! {
            biased;
            sent = outgoing.send(&mut writer), if !outgoing.is_idle() => sent?,
            Some((number, answer)) = working.next(), if outgoing.has_room() => push(&mut outgoing, number, answer),
            frame = incoming.next(&mut reader), if !is_stopping && working.len() < ASKED_MOST => {
                let Some(Frame { number, what, body }) = frame? else { return Ok(()) };
                heard = Instant::now();
                if what != ALIVE {
                    let answering = answer(what, body);
                    working.push(async move { (number, answering.await) });
                }
            }
            () = look.as_mut() => {
                if working.is_empty() && heard.elapsed() >= IDLE_MOST {
                    return Ok(());
                }
                // Once in a while, and not moved by each question.
                look.as_mut().reset(Instant::now() + IDLE_MOST);
            }
            () = asked_to_stop(&mut stopping), if !is_stopping => is_stopping = true,
        }
    }
    Ok(())
}

fn push(outgoing: &mut Outgoing, number: u32, answer: Result<Vec<u8>, RpcFault>) {
    match answer {
        Ok(body) => outgoing.push(number, DONE, &body),
        Err(fault) => outgoing.push(number, REFUSED, fault.to_string().as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, atomic::Ordering};

    use tokio::{
        io::{DuplexStream, duplex},
        sync::{Notify, Semaphore},
        task::yield_now,
    };

    use super::*;
    use crate::raft::{caller::tests::over_pipes, carrier::CallFailure, rpc::Ask};

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn questions_are_taken_up_in_their_order_and_answered_when_they_are_ready() {
        let (near, far) = duplex(1000);
        let (mut reader, mut writer) = split(near);
        let (_stop, stopping) = watch::channel(false);
        let (taken, gate) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Notify::new()));
        let (notes, waits) = (taken.clone(), gate.clone());
        let answer = move |what, body: Bytes| {
            let (notes, waits) = (notes.clone(), waits.clone());
            async move {
                notes.lock().expect("whole").push(body[0]);
                if body[0] == 0 {
                    waits.notified().await;
                }
                Ok(vec![what, body[0]])
            }
        };
        tokio::spawn(run(far, answer, stopping));
        let mut outgoing = Outgoing::default();
        (0..100).for_each(|number| outgoing.push(1000 + u32::from(number), 1 + number / 2, &[number]));
        let reading = async {
            let mut incoming = Incoming::new(100);
            for count in 0..100 {
                let frame = incoming.next(&mut reader).await.expect("whole").expect("an answer");
                // The first is ready when all others have been answered.
                let number = if count == 99 { 0 } else { count + 1 };
                let body = Bytes::copy_from_slice(&[1 + number / 2, number]);
                assert_eq!(frame, Frame { number: 1000 + u32::from(number), what: DONE, body });
                if count == 98 {
                    gate.notify_one();
                }
            }
        };
        let (sent, ()) = tokio::join!(outgoing.send(&mut writer), reading);
        sent.expect("read");
        assert_eq!(*taken.lock().expect("whole"), (0..100).collect::<Vec<u8>>());
    }

    #[tokio::test]
    async fn a_fault_is_told_in_words() {
        let (caller, _) = over_pipes(|stream| async {
            let (_stop, stopping) = watch::channel(false);
            run(stream, async |_, _| Err(RpcFault::Stopped("its disk is full".into())), stopping).await
        });
        let refused = caller.ask(Ask::Append, Bytes::new(), LONG).await.expect_err("refused");
        assert!(matches!(&refused, CallFailure::Refused { why, .. } if why.contains("its disk is full")), "{refused}");
    }

    /// Sends so many questions, and gives how many were taken up by the time that nothing moves.
    async fn taken_up(near: &mut DuplexStream, questions: usize, taken: &Semaphore) -> usize {
        let mut outgoing = Outgoing::default();
        (0..questions).for_each(|number| outgoing.push(number as u32, 1, b"?"));
        outgoing.send(near).await.expect("read");
        sleep(Duration::from_millis(1)).await;
        taken.available_permits()
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_read_while_so_many_wait() {
        let (mut near, far) = duplex(1 << 20);
        let (_stop, stopping) = watch::channel(false);
        let taken = Arc::new(Semaphore::new(0));
        let counted = taken.clone();
        let answer = move |_, _| {
            counted.add_permits(1);
            std::future::pending()
        };
        tokio::spawn(run(far, answer, stopping));
        assert_eq!(taken_up(&mut near, 3 * ASKED_MOST, &taken).await, ASKED_MOST);
    }

    #[tokio::test(start_paused = true)]
    async fn an_unused_connection_is_closed_and_one_with_a_question_under_way_is_not() {
        let (mut near, far) = duplex(1 << 20);
        let (_stop, stopping) = watch::channel(false);
        let began = Instant::now();
        let taken = Arc::new(Semaphore::new(0));
        let counted = taken.clone();
        let answer = move |_, _| {
            counted.add_permits(1);
            async {
                sleep(2 * IDLE_MOST).await;
                Ok(Vec::new())
            }
        };
        let running = tokio::spawn(run(far, answer, stopping));
        assert_eq!(taken_up(&mut near, 1, &taken).await, 1);
        running.await.expect("no panic").expect("no error");
        assert!((2 * IDLE_MOST..=4 * IDLE_MOST).contains(&began.elapsed()), "{:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_is_wanted_outlasts_a_quiet_hour() {
        let (caller, dials) = over_pipes(|stream| async {
            let (_stop, stopping) = watch::channel(false);
            run(stream, async |what, _| Ok(vec![what]), stopping).await
        });
        for _ in 0..2 {
            let answer = caller.ask(Ask::Append, Bytes::new(), LONG).await.expect("an answer");
            assert_eq!(answer, [Ask::Append as u8][..]);
            sleep(Duration::from_secs(3600)).await;
        }
        assert_eq!(dials.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_member_that_stops_answers_what_it_was_asked_and_takes_up_no_more() {
        let (near, far) = duplex(1 << 20);
        let (mut reader, mut writer) = split(near);
        let (stop, stopping) = watch::channel(false);
        let (taken, go_on) = (Arc::new(Semaphore::new(0)), Arc::new(Notify::new()));
        let (counted, waits) = (taken.clone(), go_on.clone());
        let answer = move |_, _| {
            let (counted, waits) = (counted.clone(), waits.clone());
            async move {
                counted.add_permits(1);
                waits.notified().await;
                Ok(b"yes".to_vec())
            }
        };
        let running = tokio::spawn(run(far, answer, stopping));
        let mut outgoing = Outgoing::default();
        outgoing.push(1, 1, b"?");
        outgoing.send(&mut writer).await.expect("read");
        taken.acquire().await.expect("open").forget();
        stop.send_replace(true);
        // There is one thread, so the other task hears of it now.
        yield_now().await;
        outgoing.push(2, 1, b"too late");
        outgoing.send(&mut writer).await.expect("room in the pipe");
        go_on.notify_waiters();
        let mut incoming = Incoming::new(10);
        let frame = incoming.next(&mut reader).await.expect("whole");
        assert_eq!(frame, Some(Frame { number: 1, what: DONE, body: Bytes::from("yes") }));
        assert_eq!(incoming.next(&mut reader).await.expect("whole"), None, "it ends");
        running.await.expect("no panic").expect("no error");
        assert_eq!(taken.available_permits(), 0);
    }
}
