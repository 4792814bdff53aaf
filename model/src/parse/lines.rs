//! Where in the text: byte offsets to lines, key paths to places.

use std::collections::BTreeMap;

use crate::errors::{KeyPath, Place, WorldError};

/// The lines of a text, found once.
pub(super) struct Lines<'t> {
    file: usize,
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    /// The lines of file number `file`.
    pub(super) fn of(text: &'t str, file: usize) -> Self {
        let after_breaks = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { file, text, starts: std::iter::once(0).chain(after_breaks).collect() }
    }

    /// The place of a byte offset; the end of the text if the offset lies beyond it.
    pub(super) fn place(&self, offset: usize) -> Place {
        let offset = offset.min(self.text.len());
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = self.starts.get(line - 1).copied().unwrap_or_default();
        let before = self.text.get(start..offset).unwrap_or_default();
        Place { file: self.file, line, column: before.chars().count() + 1 }
    }
}

/// Where every key that was read begins.
#[derive(Default)]
pub(super) struct Spans(BTreeMap<KeyPath, Place>);

impl Spans {
    pub(super) fn note(&mut self, path: KeyPath, place: Place) {
        self.0.insert(path, place);
    }

    /// Where a key begins, if it was read.
    pub(super) fn place(&self, path: &KeyPath) -> Option<Place> {
        self.0.get(path).copied()
    }

    /// Renumbers the entries of a list, since so many entries come before them.
    pub(super) fn shift(&mut self, list: &KeyPath, by: usize) {
        let spans = std::mem::take(&mut self.0).into_iter();
        self.0 = spans.map(|(path, place)| (path.shifted(list, by), place)).collect();
    }

    /// Takes in those of another file; of a key that both have, the first one's stays.
    pub(super) fn extend(&mut self, others: Self) {
        for (path, place) in others.0 {
            self.0.entry(path).or_insert(place);
        }
    }

    /// Gives an error its place: the key's own, else the nearest one around it (a key with a default is not in the text).
    pub(super) fn locate(&self, error: WorldError) -> WorldError {
        let mut around = Some(error.path.clone());
        while let Some(path) = around {
            if let Some(place) = self.0.get(&path) {
                return WorldError { place: Some(*place), ..error };
            }
            around = path.parent();
        }
        error
    }
}
