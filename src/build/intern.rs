//! Strings kept once and named by a number.

use hashbrown::HashTable;

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
        let id = id as usize;
        let start = if id == 0 { 0 } else { self.ends[id - 1] };
        &self.text[start..self.ends[id]]
    }

    pub fn find(&self, text: &str) -> Option<Id> {
        self.table.find(hash(text), |&id| self.get(id) == text).copied()
    }

    pub fn intern(&mut self, text: &str) -> Id {
        if let Some(id) = self.find(text) {
            return id;
        }
        let id = Id::try_from(self.ends.len()).expect("fewer than 2^32 distinct values fit in memory");
        self.text.push_str(text);
        self.ends.push(self.text.len());
        let Self { text: all, ends, table } = self;
        let get = |id: Id| {
            let id = id as usize;
            let start = if id == 0 { 0 } else { ends[id - 1] };
            &all[start..ends[id]]
        };
        table.insert_unique(hash(text), id, |&id| hash(get(id)));
        id
    }
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
        assert_eq!(i.find("v1000"), None);
        assert_eq!(i.ends.len(), 1000);
    }
}
