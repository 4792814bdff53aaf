//! A Plan as it goes over the wire, made once for all followers.

use std::sync::{Arc, Mutex, PoisonError};

use model::{Plan, PlanId};
use plane_client::{
    api::Follow,
    frame::{self, FrameError},
};

use axum::body::Bytes;

/// A Plan's message.
#[derive(Clone)]
pub(super) struct Encoded {
    pub(super) id: PlanId,
    pub(super) frame: Bytes,
    /// Sum of its content, as [`Follow::Alive`] carries it.
    pub(super) sum: String,
}

/// The message of the newest Plan that was asked for.
#[derive(Default)]
pub(super) struct LastEncoded(Mutex<Option<(Arc<Plan>, Encoded)>>);

impl LastEncoded {
    /// The message of a Plan: made by whoever asks first; the others wait for it, which takes less than making their own.
    pub(super) fn of(&self, plan: &Arc<Plan>) -> Result<Encoded, FrameError> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, encoded)) = last.as_ref().filter(|(of, _)| Arc::ptr_eq(of, plan)) {
            return Ok(encoded.clone());
        }
        let frame = frame::encode(&Follow::Plan(Box::new(Plan::clone(plan))))?;
        let sum = frame::sum(frame::content(&frame));
        let encoded = Encoded { id: plan.id, frame, sum };
        *last = Some((Arc::clone(plan), encoded.clone()));
        Ok(encoded)
    }
}
