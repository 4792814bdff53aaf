//! The receiving loop: frames of both streams, applied as they come, persisted before anything is confirmed.

use std::convert::Infallible;

use tokio::sync::mpsc;

use crate::{
    frame::{Frame, FrameReader},
    intake::Intake,
    session::{Lack, Session, SessionError},
    status::add,
};

/// Runs until the connection fails or the peer sends what it should not.
pub(crate) async fn run(
    session: &Session,
    mut live: FrameReader,
    says: mpsc::Sender<Vec<u8>>,
    lacks: mpsc::Sender<Lack>,
) -> Result<Infallible, SessionError> {
    let link = &session.link;
    let mut catch_up = FrameReader::new(session.connection.accept_uni().await?);
    let mut intake = Intake::new(link.clone(), says);
    loop {
        tokio::select! {
            frame = live.next() => on_live(session, &mut intake, &lacks, frame?)?,
            frame = catch_up.next() => on_catch_up(&mut intake, frame?)?,
        }
        // What has arrived whole is applied together and written once.
        while live.has_whole_frame() {
            on_live(session, &mut intake, &lacks, live.next().await?)?;
        }
        let received = live.take_received() + catch_up.take_received();
        add(&link.gauges.received_bytes, received);
        link.store.persist_pending().await?;
    }
}

fn on_live(
    session: &Session,
    intake: &mut Intake,
    lacks: &mpsc::Sender<Lack>,
    frame: Frame,
) -> Result<(), SessionError> {
    let link = &session.link;
    match frame {
        Frame::Batch(body) => intake.batch(&body)?,
        Frame::Mark(mark) => intake.mark(mark, session.connection.rtt()),
        Frame::Ack(vectors) => {
            vectors.iter().for_each(|(partition, vv)| link.store.note_acked(link.peer.id, *partition, vv));
        }
        Frame::Want(vectors) => {
            for (partition, vv) in vectors {
                // If the queue is full, the peer asks again.
                let _ = lacks.try_send(Lack::Of(partition, vv));
            }
        }
        Frame::Begin(round) => intake.begin(round),
        Frame::Hello(_) => return Err(SessionError::Malformed("a second hello")),
        Frame::CatchUp(_) | Frame::Done(_) => {
            return Err(SessionError::Malformed("a catch-up on the live stream"));
        }
    }
    Ok(())
}

fn on_catch_up(intake: &mut Intake, frame: Frame) -> Result<(), SessionError> {
    match frame {
        Frame::CatchUp(body) => intake.catch_up(&body),
        Frame::Done(round) => {
            intake.done(round);
            Ok(())
        }
        _ => Err(SessionError::Malformed("something else than a catch-up on the catch-up stream")),
    }
}
