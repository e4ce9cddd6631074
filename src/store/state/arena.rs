//! The details of all steps, end to end, each behind its length. What a snapshot has of them stays in its file and is read
//! when it is asked for: they explain, and a step that is plainly up to date needs none. What came since is in memory.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::wire::{Cursor, put_varint, varint_len};

/// Bytes that are read for the details of one step: few have more.
const ONE: usize = 512;
/// The bytes of the longest length.
const LENGTH_MAX: u64 = 10;

#[derive(Default)]
pub(super) struct Arena {
    /// The snapshot, and where in it they begin.
    stored: Option<(File, u64)>,
    /// Bytes of them in the snapshot; places from there on are in `fresh`.
    stored_len: u64,
    fresh: Vec<u8>,
}

impl Arena {
    /// `len` bytes from `start` on, which were checked.
    pub fn stored_in(file: File, start: u64, len: u64) -> Self {
        Self { stored: Some((file, start)), stored_len: len, fresh: Vec::new() }
    }

    /// Gives the place of what is added.
    pub fn add(&mut self, details: &[u8]) -> u64 {
        let at = self.stored_len + self.fresh.len() as u64;
        put_varint(&mut self.fresh, details.len() as u64);
        self.fresh.extend_from_slice(details);
        at
    }

    /// Puts details where others lie. False, and nothing done, where those have another length or are not in memory.
    pub fn replace(&mut self, at: u64, details: &[u8]) -> bool {
        let Some(start) = at.checked_sub(self.stored_len).and_then(|n| usize::try_from(n).ok()) else { return false };
        let Some(old) = self.fresh.get(start..).and_then(|b| Cursor(b).bytes()) else { return false };
        if old.len() != details.len() {
            return false;
        }
        let start = start + varint_len(details.len() as u64);
        self.fresh[start..start + details.len()].copy_from_slice(details);
        true
    }

    /// The details at a place; `None` where they cannot be read, which is as if they had been lost.
    pub fn get(&self, at: u64) -> Option<Vec<u8>> {
        self.reader(ONE).get(at).map(<[u8]>::to_vec)
    }

    /// For one who reads many in their order, with `ahead` bytes of the file at a time.
    pub fn reader(&self, ahead: usize) -> Reader<'_> {
        Reader { arena: self, ahead: ahead as u64, window: Vec::new(), start: 0 }
    }
}

pub(super) struct Reader<'a> {
    arena: &'a Arena,
    ahead: u64,
    /// Bytes that lie at `start`.
    window: Vec<u8>,
    start: u64,
}

impl Reader<'_> {
    /// See [`Arena::get`].
    pub fn get(&mut self, at: u64) -> Option<&[u8]> {
        let Some(left) = self.arena.stored_len.checked_sub(at).filter(|left| *left > 0) else {
            let start = usize::try_from(at - self.arena.stored_len).ok()?;
            return Cursor(self.arena.fresh.get(start..)?).bytes();
        };
        let mut c = Cursor(self.window(at, left.min(LENGTH_MAX))?);
        let seen = c.0.len();
        let len = c.varint()?;
        let head = seen - c.0.len();
        let whole = self.window(at, len.checked_add(head as u64)?)?;
        whole.get(head..head + usize::try_from(len).ok()?)
    }

    /// So many bytes at a place, or more.
    fn window(&mut self, at: u64, len: u64) -> Option<&[u8]> {
        let left = self.arena.stored_len - at;
        if len > left {
            return None;
        }
        if at < self.start || at + len > self.start + self.window.len() as u64 {
            let (file, start) = self.arena.stored.as_ref()?;
            self.window.resize(usize::try_from(len.max(self.ahead).min(left)).ok()?, 0);
            self.start = at;
            if file.read_exact_at(&mut self.window, start + at).is_err() {
                self.window.clear();
                return None;
            }
        }
        self.window.get(usize::try_from(at - self.start).ok()?..)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    /// Details of all lengths that cross a window, as a snapshot has them from byte 7 on.
    fn stored() -> (Arena, Vec<(u64, Vec<u8>)>) {
        let mut arena = Arena::default();
        let all: Vec<_> = [0, 1, 127, 128, ONE - 2, ONE - 1, ONE, ONE + 1, 20 * ONE, 3]
            .into_iter()
            .map(|len| (0..len).map(|i| (i % 251) as u8).collect::<Vec<_>>())
            .map(|details| (arena.add(&details), details))
            .collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"before ").unwrap();
        file.write_all(&arena.fresh).unwrap();
        file.write_all(b"\xff\xff behind").unwrap();
        (Arena::stored_in(file, 7, arena.fresh.len() as u64), all)
    }

    #[test]
    fn what_lies_in_the_file_is_read_as_what_lies_in_memory() {
        let (mut arena, mut all) = stored();
        all.push((arena.add(b"fresh"), b"fresh".to_vec()));
        let mut reader = arena.reader(2 * ONE);
        for (at, details) in all.iter().chain(all.iter().rev()) {
            assert_eq!(arena.get(*at).as_deref(), Some(details.as_slice()));
            assert_eq!(reader.get(*at), Some(details.as_slice()));
        }
        assert_eq!(arena.get(arena.stored_len + arena.fresh.len() as u64), None);
    }

    #[test]
    fn only_what_lies_in_memory_is_replaced_and_only_by_as_much() {
        let (mut arena, all) = stored();
        let at = arena.add(b"old");
        assert!(!arena.replace(at, b"older") && !arena.replace(all[9].0, b"new"));
        assert!(arena.replace(at, b"new"));
        assert_eq!(arena.get(at).as_deref(), Some(&b"new"[..]));
    }

    #[test]
    fn a_file_that_lost_its_end_has_lost_those_details() {
        let (arena, all) = stored();
        let (file, start) = arena.stored.as_ref().unwrap();
        file.set_len(start + all[9].0).unwrap();
        assert_eq!(arena.get(all[9].0), None);
        assert_eq!(arena.get(all[3].0).as_deref(), Some(all[3].1.as_slice()));
    }
}
