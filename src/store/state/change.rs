//! The changes that a journal tells, and their bytes.

use std::borrow::Cow;

use super::details;
use super::record::{FileRecord, Stamp, StoredOutput};
use super::wire::{Cursor, put_bytes, put_varint};
use crate::store::{Digest, Sha256};

/// One change, as it lies in a frame.
pub(super) enum Change<'a> {
    File { path: &'a str, record: FileRecord },
    Step { path: &'a str, key: Digest, template: Digest, details: &'a [u8] },
    Template { text: &'a str },
    Action { key: Digest, outputs: Cow<'a, [StoredOutput]> },
    Remove { path: &'a str },
}

const FILE: u8 = 1;
const STEP: u8 = 2;
const TEMPLATE: u8 = 3;
const ACTION: u8 = 4;
const REMOVE: u8 = 5;
/// An action with the time at which it was made.
const DATED: u8 = 6;

impl<'a> Change<'a> {
    /// Appends it to a frame.
    pub fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::File { path, record } => {
                out.push(FILE);
                put_bytes(out, path.as_bytes());
                out.extend_from_slice(&record.stamp.size.to_le_bytes());
                out.extend_from_slice(&record.stamp.times.to_le_bytes());
                out.extend_from_slice(&record.stamp.inode.to_le_bytes());
                out.extend_from_slice(&record.content.0);
                out.push(u8::from(record.settled));
            }
            Self::Step { path, key, template, details } => {
                out.push(STEP);
                put_bytes(out, path.as_bytes());
                out.extend_from_slice(&key.0);
                out.extend_from_slice(&template.0);
                put_bytes(out, details);
            }
            Self::Template { text } => {
                out.push(TEMPLATE);
                put_bytes(out, text.as_bytes());
            }
            Self::Action { key, outputs } => {
                out.push(DATED);
                out.extend_from_slice(&key.0);
                put_varint(out, outputs.len() as u64);
                for o in outputs.iter() {
                    out.extend_from_slice(&o.content.0);
                    out.extend_from_slice(&o.blob.0);
                    out.extend_from_slice(&o.size.to_le_bytes());
                    out.push(u8::from(o.executable));
                    out.extend_from_slice(&o.made_at.to_le_bytes());
                }
            }
            Self::Remove { path } => {
                out.push(REMOVE);
                put_bytes(out, path.as_bytes());
            }
        }
    }

    /// Reads the next of a frame; `None` where these bytes are none.
    pub fn read(c: &mut Cursor<'a>) -> Option<Self> {
        Some(match c.u8()? {
            FILE => {
                let path = c.text()?;
                let stamp = Stamp { size: c.u64()?, times: c.i64()?, inode: c.u64()? };
                let record = FileRecord { stamp, content: Digest(c.array()?), settled: c.u8()? != 0 };
                Self::File { path, record }
            }
            STEP => {
                let path = c.text()?;
                let (key, template) = (Digest(c.array()?), Digest(c.array()?));
                let details = c.bytes()?;
                details::decode(key, template, details)?;
                Self::Step { path, key, template, details }
            }
            TEMPLATE => Self::Template { text: c.text()? },
            kind @ (ACTION | DATED) => {
                let key = Digest(c.array()?);
                let dated = kind == DATED;
                let outputs = (0..c.varint()?).map(|_| read_output(c, dated)).collect::<Option<Vec<_>>>()?;
                Self::Action { key, outputs: outputs.into() }
            }
            REMOVE => Self::Remove { path: c.text()? },
            _ => return None,
        })
    }
}

fn read_output(c: &mut Cursor<'_>, dated: bool) -> Option<StoredOutput> {
    let (content, blob) = (Digest(c.array()?), Sha256(c.array()?));
    let (size, executable) = (c.u64()?, c.u8()? != 0);
    Some(StoredOutput { content, blob, size, executable, made_at: if dated { c.i64()? } else { 0 } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_of_an_older_journal_tells_no_time() {
        let output =
            StoredOutput { content: Digest([1; 32]), blob: Sha256([2; 32]), size: 3, executable: true, made_at: 0 };
        let key = Digest([4; 32]);
        let old = [&[ACTION][..], &key.0, &[1], &output.content.0, &output.blob.0, &3u64.to_le_bytes(), &[1]].concat();
        for (bytes, made_at) in [(old, 0), (written(key, StoredOutput { made_at: 5, ..output }), 5)] {
            let mut c = Cursor(&bytes);
            let Some(Change::Action { key: k, outputs }) = Change::read(&mut c) else { panic!("it is an action") };
            assert!(c.is_empty());
            assert_eq!((k, &outputs[..]), (key, &[StoredOutput { made_at, ..output }][..]));
        }
    }

    fn written(key: Digest, output: StoredOutput) -> Vec<u8> {
        let mut bytes = Vec::new();
        Change::Action { key, outputs: vec![output].into() }.write(&mut bytes);
        bytes
    }
}
