//! Why a key reads as it does: every live element, who wrote it, when, and what beats it.

use bytes::Bytes;

use crate::{Dot, Hlc};

/// Everything that is known of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The key.
    pub key: Bytes,
    /// What TYPE answers: `none`, `string`, `hash` or `set`.
    pub visible_type: &'static str,
    /// When it expires, in milliseconds since 1970.
    pub deadline_ms: Option<u64>,
    /// Whether that moment has passed (the key reads as absent and waits for its purge).
    pub expired: bool,
    /// Live elements, each visible one before those it beats.
    pub parts: Vec<ExplainedPart>,
}

/// One live element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedPart {
    /// `string`, `counter`, `hash field`, `set member`, `deadline`, …
    pub kind: &'static str,
    /// Field or member, empty where there is none; shortened, printable.
    pub sub: String,
    /// Who wrote it, and their how-manieth change of the partition it was.
    pub dot: Dot,
    /// When, by the writer's clock.
    pub hlc: Hlc,
    /// The value, shortened, printable.
    pub value: String,
    /// Whether clients see it.
    pub visible: bool,
    /// Why, or why not.
    pub why: &'static str,
}
