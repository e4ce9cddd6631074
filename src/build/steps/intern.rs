//! Strings kept once and named by a number.

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

/// Names a string of an [`Interner`].
pub type Id = u32;

/// Strings in one arena. An id is never reused.
#[derive(Default)]
pub struct Interner {
    text: String,
    ends: Vec<usize>,
    table: HashTable<Id>,
}

impl Interner {
    pub fn get(&self, id: Id) -> &str {
        slice(&self.text, &self.ends, id)
    }

    pub fn intern(&mut self, text: &str) -> Id {
        let Self { text: all, ends, table } = self;
        let get = |id: Id| slice(all, ends, id);
        match table.entry(hash(text), |&id| get(id) == text, |&id| hash(get(id))) {
            Entry::Occupied(there) => *there.get(),
            Entry::Vacant(free) => {
                let id = Id::try_from(ends.len()).expect("fewer than 2^32 distinct values fit in memory");
                free.insert(id);
                all.push_str(text);
                ends.push(all.len());
                id
            }
        }
    }

    /// The id of a string that is kept.
    pub fn find(&self, text: &str) -> Option<Id> {
        self.table.find(hash(text), |&id| self.get(id) == text).copied()
    }

    /// How many there are: the ids are those below it.
    pub fn len(&self) -> usize {
        self.ends.len()
    }
}

fn slice<'a>(text: &'a str, ends: &[usize], id: Id) -> &'a str {
    let id = id as usize;
    let start = if id == 0 { 0 } else { ends[id - 1] };
    &text[start..ends[id]]
}

/// The hash behind every table of strings: seeded once a process, so that no list of names can be made to collide.
pub fn hash(text: &str) -> u64 {
    use std::hash::BuildHasher;
    use std::sync::LazyLock;
    static STATE: LazyLock<foldhash::fast::RandomState> = LazyLock::new(foldhash::fast::RandomState::default);
    STATE.hash_one(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_keeps_its_id() {
        let mut i = Interner::default();
        let ids: Vec<Id> = (0..1000).map(|n| i.intern(&format!("v{n}"))).collect();
        assert_eq!(ids, (0..1000).map(|n| i.intern(&format!("v{n}"))).collect::<Vec<_>>());
        assert_eq!(i.get(ids[7]), "v7");
        assert_eq!((i.find("v7"), i.find("v1000")), (Some(ids[7]), None));
        assert_eq!(i.len(), 1000);
    }
}
