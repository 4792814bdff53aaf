//! Whole objects of the World: what lists of them look like.

use model::PlanId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// All objects of one kind: `GET /v1/pools`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectList {
    /// The Plan whose World they belong to.
    pub plan: PlanId,
    /// In the order of the World.
    pub items: Vec<ObjectItem>,
}

/// One object of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ObjectItem {
    /// Its name.
    pub name: String,
    /// What `If-Match` takes, quotes included.
    pub etag: String,
    /// The object.
    pub object: Value,
}
