//! One World behind the many Plans that differ only in what was decided. A verdict or an override makes a new Plan, and a World of ten
//! thousand names is megabytes: it is copied when somebody changes it, and never otherwise.

use std::{
    ops::{Deref, DerefMut},
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::World;

/// A World that is shared until it is changed. It reads, compares and is written as the World in it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SharedWorld(Arc<World>);

impl From<World> for SharedWorld {
    fn from(world: World) -> Self {
        Self(Arc::new(world))
    }
}

impl SharedWorld {
    /// Whether both are one World in memory. Two may be equal and not the same.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Deref for SharedWorld {
    type Target = World;
    fn deref(&self) -> &World {
        &self.0
    }
}

impl DerefMut for SharedWorld {
    /// A World of one's own: copied first, if others have it too.
    fn deref_mut(&mut self) -> &mut World {
        Arc::make_mut(&mut self.0)
    }
}

impl PartialEq for SharedWorld {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || *self.0 == *other.0
    }
}

impl PartialEq<World> for SharedWorld {
    fn eq(&self, other: &World) -> bool {
        *self.0 == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_world_is_copied_when_it_is_changed_and_the_others_keep_theirs() {
        let first = SharedWorld::from(World::of("shop", Vec::new()));
        let mut second = first.clone();
        assert!(first.is_same(&second), "shared");
        second.name.push('s');
        assert_eq!((first.name.as_str(), second.name.as_str()), ("shop", "shops"));
        assert!(!first.is_same(&second) && first != second && first == World::of("shop", Vec::new()));
        let json = serde_json::to_string(&second).expect("has JSON");
        assert_eq!(json, serde_json::to_string(&*second).expect("has JSON"), "written as the World in it");
        assert_eq!(serde_json::from_str::<SharedWorld>(&json).expect("parses"), second);
    }
}
