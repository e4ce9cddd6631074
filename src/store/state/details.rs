//! The part of a step's record whose length varies, as it lies in the arena, in the snapshot and in the journal.

use super::record::{Asking, FoundInput, KeyPart, StepRecord};
use super::wire::{Cursor, put_bytes, put_varint};
use crate::store::{Digest, Sha256};

const ABSENT: u8 = 1;
const QUESTION: u8 = 2;
const ANSWER: u8 = 4;
const ASKED_AT: u8 = 8;
const MORE: u8 = 16;
const FOUND: u8 = 32;
const WHY: u8 = 64;
const MADE_AT: u8 = 128;

/// The flags of what came of asking.
const UNCHANGED: u8 = 1;
const ASKED_BEFORE: u8 = 2;

/// A step's record where it lies: nothing is copied.
#[derive(Clone, Copy, Debug)]
pub struct StepView<'a> {
    /// The hash of all that decided its outputs.
    pub key: Digest,
    /// See [`StepRecord::template`].
    pub template: Digest,
    /// Why there is nothing, where the answer said so.
    pub absent: Option<&'a str>,
    /// The question that it asked its source; zero where it asks none.
    pub question: Digest,
    /// The answer, a blob.
    pub answer: Option<Sha256>,
    /// When the answer (or the absence) came, milliseconds since 1970; 0 where nothing was asked.
    pub asked_at: i64,
    /// See [`StepRecord::made_at`].
    pub made_at: i64,
    parts: &'a [[u8; 16]],
    /// How many found inputs there are, and where they begin.
    found: (u64, Cursor<'a>),
    /// See [`StepRecord::why`].
    pub why: Option<&'a str>,
    more_outputs: Cursor<'a>,
    /// See [`StepRecord::why_asked`].
    pub why_asked: &'a str,
    /// See [`StepRecord::before`].
    pub before: &'a str,
    /// See [`StepRecord::asking`].
    asking: AskingView<'a>,
}

#[derive(Clone, Copy, Debug, Default)]
struct AskingView<'a> {
    unchanged: bool,
    before: Option<i64>,
    by: &'a str,
    notes: &'a str,
}

impl<'a> StepView<'a> {
    /// What else its key was made from, in the key's order.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = KeyPart> + use<'a> {
        self.parts.iter().map(|p| {
            let [n0, n1, n2, n3, n4, n5, n6, n7, value @ ..] = *p;
            KeyPart { name: [n0, n1, n2, n3, n4, n5, n6, n7], value }
        })
    }

    /// The inputs that it found while it ran: path and content.
    pub fn found(&self) -> impl Iterator<Item = (&'a str, Digest)> + use<'a> {
        let (count, mut rest) = self.found;
        (0..count).map_while(move |_| read_found(&mut rest))
    }

    /// The paths of its outputs after the first.
    pub fn more_outputs(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut rest = self.more_outputs;
        std::iter::from_fn(move || rest.text().filter(|path| !path.is_empty()))
    }

    /// The same with everything copied.
    pub fn record(self) -> StepRecord {
        StepRecord {
            key: self.key,
            absent: self.absent.map(str::to_owned),
            question: self.question,
            answer: self.answer,
            asked_at: self.asked_at,
            made_at: self.made_at,
            template: self.template,
            parts: self.parts().collect(),
            found: self.found().map(|(path, content)| FoundInput { path: path.to_owned(), content }).collect(),
            why: self.why.map(str::to_owned),
            more_outputs: self.more_outputs().map(str::to_owned).collect(),
            why_asked: self.why_asked.to_owned(),
            before: self.before.to_owned(),
            asking: Asking {
                unchanged: self.asking.unchanged,
                before: self.asking.before,
                by: self.asking.by.to_owned(),
                notes: self.asking.notes.to_owned(),
            },
        }
    }
}

/// Appends all of the record but its key and template.
pub(super) fn encode(out: &mut Vec<u8>, record: &StepRecord) {
    let asks = record.question != Digest::default();
    let asking = &record.asking;
    let more = !record.why_asked.is_empty() || !record.before.is_empty() || *asking != Asking::default();
    let flag = |there: bool, bit: u8| if there { bit } else { 0 };
    out.push(
        flag(record.absent.is_some(), ABSENT)
            | flag(asks, QUESTION)
            | flag(record.answer.is_some(), ANSWER)
            | flag(record.asked_at != 0, ASKED_AT)
            | flag(!record.found.is_empty(), FOUND)
            | flag(record.why.is_some(), WHY)
            | flag(more || !record.more_outputs.is_empty(), MORE)
            | flag(record.made_at != 0, MADE_AT),
    );
    put_varint(out, record.parts.len() as u64);
    for part in &record.parts {
        out.extend_from_slice(&part.name);
        out.extend_from_slice(&part.value);
    }
    if asks {
        out.extend_from_slice(&record.question.0);
    }
    if let Some(answer) = &record.answer {
        out.extend_from_slice(&answer.0);
    }
    if record.asked_at != 0 {
        out.extend_from_slice(&record.asked_at.to_le_bytes());
    }
    if record.made_at != 0 {
        out.extend_from_slice(&record.made_at.to_le_bytes());
    }
    if let Some(why) = &record.absent {
        put_bytes(out, why.as_bytes());
    }
    if !record.found.is_empty() {
        put_varint(out, record.found.len() as u64);
        for FoundInput { path, content } in &record.found {
            put_bytes(out, path.as_bytes());
            out.extend_from_slice(&content.0);
        }
    }
    if let Some(why) = &record.why {
        put_bytes(out, why.as_bytes());
    }
    for path in &record.more_outputs {
        put_bytes(out, path.as_bytes());
    }
    if more {
        // No output has an empty path: here they end.
        for text in ["", &record.why_asked, &record.before] {
            put_bytes(out, text.as_bytes());
        }
        if *asking != Asking::default() {
            out.push(flag(asking.unchanged, UNCHANGED) | flag(asking.before.is_some(), ASKED_BEFORE));
            asking.before.iter().for_each(|at| out.extend_from_slice(&at.to_le_bytes()));
            put_bytes(out, asking.by.as_bytes());
            put_bytes(out, asking.notes.as_bytes());
        }
    }
}

/// Reads what [`encode`] wrote; `None` where these bytes are not that.
pub(super) fn decode(key: Digest, template: Digest, bytes: &[u8]) -> Option<StepView<'_>> {
    let mut c = Cursor(bytes);
    let flags = c.u8()?;
    let has = |bit: u8| flags & bit != 0;
    let parts_len = c.varint()?.checked_mul(16)?;
    let (parts, _) = c.take(parts_len)?.as_chunks();
    let question = if has(QUESTION) { Digest(c.array()?) } else { Digest::default() };
    let answer = if has(ANSWER) { Some(Sha256(c.array()?)) } else { None };
    let asked_at = if has(ASKED_AT) { c.i64()? } else { 0 };
    let made_at = if has(MADE_AT) { c.i64()? } else { 0 };
    let absent = if has(ABSENT) { Some(c.text()?) } else { None };
    let count = if has(FOUND) { c.varint()? } else { 0 };
    let found = (count, c);
    for _ in 0..count {
        read_found(&mut c)?;
    }
    let why = if has(WHY) { Some(c.text()?) } else { None };
    if has(MORE) == c.is_empty() {
        return None;
    }
    let more_outputs = c;
    while !c.is_empty() && !c.text()?.is_empty() {}
    let (why_asked, before) = if c.is_empty() { ("", "") } else { (c.text()?, c.text()?) };
    let asking = if c.is_empty() { AskingView::default() } else { read_asking(&mut c)? };
    c.is_empty().then_some(StepView {
        key,
        template,
        absent,
        question,
        answer,
        asked_at,
        made_at,
        parts,
        found,
        why,
        more_outputs,
        why_asked,
        before,
        asking,
    })
}

fn read_asking<'a>(c: &mut Cursor<'a>) -> Option<AskingView<'a>> {
    let flags = c.u8()?;
    let before = if flags & ASKED_BEFORE != 0 { Some(c.i64()?) } else { None };
    Some(AskingView { unchanged: flags & UNCHANGED != 0, before, by: c.text()?, notes: c.text()? })
}

fn read_found<'a>(c: &mut Cursor<'a>) -> Option<(&'a str, Digest)> {
    Some((c.text()?, Digest(c.array()?)))
}
