//! What a command must leave as it was: its declared inputs.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::Ordering;

use rayon::prelude::*;
use rustix::fs::AtFlags;

use crate::build::clock;
use crate::build::files::{self, Eyes, Look};
use crate::rules::{Failure, Job};
use crate::store::state::FileRecord;

/// From so many inputs on, to keep their folders open is cheaper than to go to each from the root.
const EYES_FROM: usize = 16;

/// What was done to an input, and its path.
type Meddled<'p> = (Done, &'p str);

/// What was done to an input.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Done {
    Deleted,
    Changed,
    MadeUnreadable,
    /// It holds what it held, and was written meanwhile: what the command read of it cannot be told.
    ChangedAndBack,
    /// After it was looked at.
    ChangedBefore,
}

impl Done {
    /// As it is told of one input, or of more.
    fn words(self, many: bool) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Changed => "changed",
            Self::MadeUnreadable => "made unreadable",
            Self::ChangedAndBack if many => "changed while the command ran, and are as they were again",
            Self::ChangedAndBack => "changed while the command ran, and is as it was again",
            Self::ChangedBefore => "changed before the command began",
        }
    }
}

/// Whether a command left its inputs as they were when it was decided to run it. Each is looked at: the times of their
/// folders would tell what is gone, and not what was written where it lies.
pub(crate) fn check_inputs(job: &Job) -> Result<(), Failure> {
    let all: Vec<(&str, &FileRecord)> =
        job.inputs.iter().flat_map(|input| input.paths.iter().map(String::as_str).zip(&input.seen)).collect();
    let eyes = (all.len() >= EYES_FROM).then(|| Eyes::new(&job.root).ok()).flatten();
    let look = |(path, seen)| meddled(job, eyes.as_ref(), path, seen);
    let meddled: Vec<Meddled<'_>> = match &eyes {
        Some(_) => all.par_iter().with_min_len(EYES_FROM).copied().filter_map(look).collect(),
        None => all.iter().copied().filter_map(look).collect(),
    };
    if meddled.is_empty() {
        return Ok(());
    }
    let help = match meddled.iter().all(|(done, _)| *done == Done::ChangedBefore) {
        true => "something else did that after this build had looked at it; build again",
        false => "a command must leave its inputs as they are; if it was someone else, build again",
    };
    Err(Failure { help: Some(help.into()), ..Failure::new(sentence(&meddled)) })
}

/// What was done to which inputs, in words; of many, the first are named.
fn sentence(meddled: &[Meddled<'_>]) -> String {
    const NAMED: usize = 10;
    let of = |done: &Done| {
        // One path may be that of two inputs.
        let paths: BTreeSet<&str> = meddled.iter().filter(|(what, _)| what == done).map(|(_, path)| *path).collect();
        let paths = Vec::from_iter(paths);
        let more = match paths.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let done = done.words(paths.len() > 1);
        match paths.as_slice() {
            [] => None,
            [path] => Some(format!("the input {path} was {done}")),
            paths => Some(format!("the inputs {}{more} were {done}", paths[..paths.len().min(NAMED)].join(", "))),
        }
    };
    let meanwhile: Vec<String> = [Done::Deleted, Done::Changed, Done::MadeUnreadable].iter().filter_map(of).collect();
    let meanwhile = (!meanwhile.is_empty()).then(|| format!("{} while the command ran", meanwhile.join(", and ")));
    let others = [Done::ChangedAndBack, Done::ChangedBefore];
    meanwhile.into_iter().chain(others.iter().filter_map(of)).collect::<Vec<_>>().join("; ")
}

fn meddled<'p>(job: &Job, eyes: Option<&Eyes>, path: &'p str, seen: &FileRecord) -> Option<Meddled<'p>> {
    // Its stamp is enough: a rewrite within a tick of the clock is seen by the next run.
    let seen = FileRecord { settled: true, ..*seen };
    if eyes.is_some_and(|eyes| eyes.same(path, &seen, AtFlags::empty())) {
        return None;
    }
    let (full, began) = (job.root.join(path), job.began.load(Ordering::Relaxed));
    let done = match files::look_at_input(&full, Some(seen)) {
        Look::Same(_) => return None,
        // What cannot be looked at any more cannot be told to be as it was, either.
        Look::Hashed(now) if now.content == seen.content => match was_written(&full, &seen, began) {
            Ok(false) => return None,
            Ok(true) | Err(_) => Done::ChangedAndBack,
        },
        Look::Hashed(_) => match last_changed(&full) {
            Ok(at) if !is_since(at, began) => Done::ChangedBefore,
            Ok(_) | Err(_) => Done::Changed,
        },
        Look::Missing => Done::Deleted,
        Look::Unusable(_) => Done::MadeUnreadable,
    };
    Some((done, path))
}

/// Whether an input that holds what it held was written, or another put in its place, since the command began. Its ctime
/// alone tells neither: a link to it, and its mode, move that as well.
fn was_written(path: &Path, seen: &FileRecord, began: i64) -> io::Result<bool> {
    let (meta, now) = (path.metadata()?, clock::now_ns());
    if meta.is_dir() {
        let is_new = |at: i64| at <= now && is_since(at, began);
        return Ok(files::files_in(path)?.iter().any(|(_, meta)| meta.is_file() && is_new(files::mtime(meta))));
    }
    let is_as_seen = meta.ino() == seen.stamp.inode && files::has_mtime_of(&seen.stamp, &meta);
    Ok(!is_as_seen && is_since(files::last_changed(&meta, now), began))
}

/// Whether a time of a file is not before a command began. Some file systems keep whole seconds, or every other one.
fn is_since(at: i64, began: i64) -> bool {
    const SECOND: i64 = 1_000_000_000;
    at >= began || at % SECOND == 0 && at > began.saturating_sub(2 * SECOND)
}

/// When an input was last changed in any way; of a folder, when anything in it was, came or went.
fn last_changed(path: &Path) -> io::Result<i64> {
    let meta = path.metadata()?;
    if meta.is_dir() {
        return Ok(files::read_folder(path)?.changed);
    }
    Ok(files::last_changed(&meta, clock::now_ns()))
}
