//! Every path once: the texts end to end, where each ends, and a table of numbers to find them by.

use std::hash::{BuildHasher, Hasher};

use hashbrown::HashTable;

use super::wire::{Rows, offset, position};

/// The number of a path in one opened [`State`](super::State): it holds for as long as that lives, and for no other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PathId(pub(super) u32);

impl PathId {
    /// The number after it, whether it is given or not.
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The number as far behind this one as this one is behind `before`: for paths that were first put in a rhythm.
    pub fn in_step(self, before: Self) -> Self {
        Self(self.0.saturating_add(self.0.wrapping_sub(before.0)))
    }

    /// A dense number from 0, for tables of one's own beside the state's.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

#[derive(Default)]
pub(super) struct Paths {
    text: String,
    ends: Rows<5>,
    table: HashTable<u32>,
    /// Seeded anew in each process, so that nobody can choose names that collide.
    hasher: foldhash::fast::RandomState,
}

impl Paths {
    /// Takes texts and ends as a snapshot holds them. `None` where they do not fit each other.
    pub fn load(text: Vec<u8>, ends: Rows<5>) -> Option<Self> {
        u32::try_from(ends.len()).ok()?;
        let text = String::from_utf8(text).ok()?;
        let mut table = HashTable::with_capacity(ends.len());
        let hasher = foldhash::fast::RandomState::default();
        let mut start = 0;
        for (id, end) in ends.0.as_chunks().0.iter().enumerate() {
            let end = usize::try_from(position(*end)).ok()?;
            let path = text.get(start..end)?;
            table.insert_unique(hash(&hasher, path), id as u32, |_| 0);
            start = end;
        }
        (start == text.len()).then_some(Self { text, ends, table, hasher })
    }

    pub fn len(&self) -> usize {
        self.ends.len()
    }

    pub fn get(&self, id: usize) -> &str {
        slice(&self.text, &self.ends, id)
    }

    pub fn find(&self, path: &str) -> Option<PathId> {
        let found = self.table.find(hash(&self.hasher, path), |id| self.get(*id as usize) == path);
        found.map(|id| PathId(*id))
    }

    /// Its number, or `None` where it is now added under the next one.
    pub fn add(&mut self, path: &str) -> Result<PathId, PathId> {
        if let Some(id) = self.find(path) {
            return Ok(id);
        }
        let id = u32::try_from(self.len()).expect("4 * 10^9 paths need more memory than there is");
        self.text.push_str(path);
        self.ends.push(&offset(self.text.len() as u64));
        let Self { text, ends, table, hasher } = self;
        table.insert_unique(hash(hasher, path), id, |id| hash(hasher, slice(text, ends, *id as usize)));
        Err(PathId(id))
    }
}

fn hash(hasher: &foldhash::fast::RandomState, path: &str) -> u64 {
    let mut state = hasher.build_hasher();
    state.write(path.as_bytes());
    state.finish()
}

/// Ends were made by `add` or checked by `load`: each is a boundary of the text, and none lies before the one before it.
fn slice<'a>(text: &'a str, ends: &Rows<5>, id: usize) -> &'a str {
    let end = |i| ends.get(i).map_or(0, |e| position(*e)) as usize;
    let start = id.checked_sub(1).map_or(0, end);
    &text[start..end(id)]
}
