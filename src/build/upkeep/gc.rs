//! What `gc` does: finds out what of store and state nothing needs, and frees it.
//!
//! Needed are the answers of all records and the digests that their values came with, whatever is named by digest in what
//! is needed (a tag list names manifests, these name configs), and the outputs of the actions that are kept. What a digest
//! is found in is not understood here: any 64 hex digits that are the name of a blob count, so that rather too much is kept
//! than too little.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use tokio::sync::watch;

use crate::store::blobs::{Blobs, Stored};
use crate::store::state::{Access, State};
use crate::store::{Digest, Sha256};

use super::orphans::{self, Fate};
use crate::build::engine::Engine;
use crate::build::events::Listener;
use crate::build::files::place;
use crate::build::reasons::Reasons;
use crate::build::request;
use crate::build::session::{BuildError, Order, Session, io, looked, take_lock};

/// Larger files are not searched for digests.
const SEARCHED: u64 = 256 << 20;

/// What is to go beside what nothing can need.
#[derive(Clone, Copy, Debug, Default)]
pub struct Policy {
    /// Outputs of earlier steps that were not used for so long.
    pub older_than: Option<Duration>,
    /// Outputs of steps, those used longest ago first, until the store has at most so many bytes.
    pub max_size: Option<u64>,
    /// Only find out.
    pub dry: bool,
}

/// What was (or would be) freed.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Freed {
    pub blobs: usize,
    /// Of blobs and logs.
    pub bytes: u64,
    /// Step results that cannot be taken from the store any more.
    pub actions: usize,
    /// Records of files and steps that are neither there nor made by the pipeline.
    pub records: usize,
    pub logs: usize,
    pub kept_blobs: usize,
    pub kept_bytes: u64,
    /// Outputs that no step makes any more and that are still there: their records are kept.
    pub orphans: usize,
}

/// Frees what nothing needs.
pub fn gc(
    session: &Session,
    order: &Order,
    policy: Policy,
    stop: &watch::Receiver<bool>,
    listener: &mut dyn Listener,
) -> Result<Freed, BuildError> {
    let _lock = if policy.dry { None } else { Some(take_lock(session, order, stop, listener)?) };
    let everything = Order { asked: request::everything(&session.pipeline), ..order.clone() };
    let (engine, _) = looked(session, &everything, listener)?;
    let blobs = Blobs::look(&session.store);
    let stored = blobs.list().map_err(io("read the store", &session.store))?;
    let records = forgettable(&engine);
    let mut plan = Plan::new(&blobs, &stored);
    plan.mark(roots(&engine, &blobs, &records.paths));
    plan.add_actions(&engine.state)?;
    plan.drop_actions(&policy);
    // A store that was named may serve other pipelines: only age tells what they need.
    let shared = session.store != session.work_dir.join("store");
    let garbage = plan.garbage(policy.older_than, shared);
    let logs = dead_logs(&engine);
    let mut freed = Freed {
        blobs: garbage.len(),
        bytes: garbage.iter().map(|b| b.size).sum::<u64>() + logs.iter().map(|(_, size)| size).sum::<u64>(),
        actions: plan.dropped.len(),
        records: records.paths.len(),
        logs: logs.len(),
        orphans: records.orphans,
        ..Freed::default()
    };
    freed.kept_blobs = stored.len() - garbage.len();
    freed.kept_bytes = stored.iter().map(|b| b.size).sum::<u64>() - garbage.iter().map(|b| b.size).sum::<u64>();
    if !policy.dry {
        let dropped = std::mem::take(&mut plan.dropped);
        // First the state, then the files: a kill between the two leaves blobs that the next `gc` finds.
        forget(session, &records.paths, dropped)?;
        for blob in &garbage {
            blobs.remove(&blob.digest).map_err(io("remove from the store", &blobs.path(&blob.digest)))?;
        }
        for (log, _) in &logs {
            std::fs::remove_file(log).map_err(io("remove", log))?;
        }
    }
    Ok(freed)
}

struct Records {
    paths: HashSet<String>,
    orphans: usize,
}

/// Records of orphans whose files are gone, and of files that are gone and that no step reads.
fn forgettable(engine: &Engine<'_>) -> Records {
    let candidates = engine.orphans();
    let (gone, there): (Vec<_>, Vec<_>) = candidates.list.into_iter().partition(|c| c.fate == Fate::Forget);
    let mut paths: HashSet<String> = gone.into_iter().map(|c| c.path).collect();
    if candidates.untold.is_empty() {
        let read: HashSet<_> = engine.steps.files.iter().copied().collect();
        let idle = engine.state.live_ids().filter(|&id| {
            engine.state.step_key_at(id).is_none() && engine.steps.maker(id).is_none() && !read.contains(&id)
        });
        let gone = |path: &&str| !engine.pipeline.root.join(path).exists();
        paths.extend(idle.map(|id| engine.state.path(id)).filter(gone).map(str::to_owned));
    }
    Records { paths, orphans: there.len() }
}

fn forget(session: &Session, paths: &HashSet<String>, actions: Vec<Digest>) -> Result<(), BuildError> {
    if paths.is_empty() && actions.is_empty() {
        return Ok(());
    }
    let (mut state, _) = session.open_state(Access::Write)?;
    paths.iter().for_each(|path| orphans::forget(&mut state, path));
    state.forget_actions(actions)?;
    state.close()?;
    Ok(())
}

/// The digests that are needed for themselves.
fn roots(engine: &Engine<'_>, blobs: &Blobs, forgotten: &HashSet<String>) -> Vec<Sha256> {
    let mut roots: Vec<Sha256> = engine.steps.fingerprints.clone();
    digests(&blobs.index(), &mut |digest| roots.push(digest));
    for id in engine.state.step_ids().filter(|&id| !forgotten.contains(engine.state.path(id))) {
        let Some(record) = engine.state.step_at(id) else { continue };
        // The digest that came with a value, by its start: of a step that is not told now, nothing else has it.
        let came = record.parts.iter().filter_map(|part| engine.stored(part.value));
        roots.extend(came.chain(record.answer));
        // What was looked behind in place of an id that its source does not have.
        let notes = record.why.iter().flat_map(|why| Reasons::notes(why)).chain(record.absent.as_deref());
        notes.for_each(|note| digests(note.as_bytes(), &mut |digest| roots.push(digest)));
    }
    roots
}

/// Logs of steps that the pipeline does not have.
fn dead_logs(engine: &Engine<'_>) -> Vec<(std::path::PathBuf, u64)> {
    if !engine.untold().is_empty() {
        return Vec::new();
    }
    let ids = 0..u32::try_from(engine.steps.len()).unwrap_or(u32::MAX);
    let live: HashSet<_> = ids.map(|id| engine.log_of(engine.path(id, 0))).collect();
    let entries = std::fs::read_dir(engine.work_dir.join("logs")).into_iter().flatten().flatten();
    let files = entries.filter_map(|e| Some((e.path(), e.metadata().ok().filter(std::fs::Metadata::is_file)?.len())));
    files.filter(|(path, _)| !live.contains(path)).collect()
}

/// Calls `see` with each run of exactly 64 lower-case hex digits.
fn digests(bytes: &[u8], see: &mut impl FnMut(Sha256)) {
    let hex = |b: &u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    for run in bytes.split(|b| !hex(b)).filter(|run| run.len() == 64) {
        if let Some(digest) = std::str::from_utf8(run).ok().and_then(Sha256::from_hex) {
            see(digest);
        }
    }
}

fn search(path: &Path, see: &mut impl FnMut(Sha256)) {
    if std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.len() <= SEARCHED)
        && let Ok(bytes) = std::fs::read(path)
    {
        digests(&bytes, see);
    }
}

/// What a step once made, as the store has it.
struct Action {
    key: Digest,
    blobs: Vec<Sha256>,
    used: SystemTime,
    /// It is what a recorded step made last.
    live: bool,
}

struct Plan<'a> {
    blobs: &'a Blobs,
    stored: HashMap<Sha256, Stored>,
    marked: HashSet<Sha256>,
    /// How many kept actions have a blob.
    users: HashMap<Sha256, usize>,
    actions: Vec<Action>,
    dropped: Vec<Digest>,
}

impl<'a> Plan<'a> {
    fn new(blobs: &'a Blobs, stored: &[Stored]) -> Self {
        Self {
            blobs,
            stored: stored.iter().map(|b| (b.digest, *b)).collect(),
            marked: HashSet::new(),
            users: HashMap::new(),
            actions: Vec::new(),
            dropped: Vec::new(),
        }
    }

    /// Marks what is needed, and what is named in it.
    fn mark(&mut self, mut due: Vec<Sha256>) {
        while let Some(digest) = due.pop() {
            if self.stored.contains_key(&digest) && self.marked.insert(digest) {
                search(&self.blobs.path(&digest), &mut |found| due.push(found));
            }
        }
    }

    /// Takes in every action that still has all its blobs; the others are dropped.
    fn add_actions(&mut self, state: &State) -> Result<(), BuildError> {
        let live: HashSet<Digest> = state.step_ids().filter_map(|id| state.step_key_at(id)).collect();
        let (mut whole, mut broken) = (Vec::new(), Vec::new());
        state.each_action(|key, outputs| {
            let mut blobs: Vec<Sha256> = Vec::new();
            for output in outputs {
                blobs.push(output.blob);
                blobs.extend(place::listed(&self.blobs.path(&output.blob)).into_iter().flatten());
            }
            let used = blobs.iter().map(|b| self.stored.get(b).map(|s| s.used)).collect::<Option<Vec<_>>>();
            match used {
                Some(used) => {
                    let used = used.into_iter().max().unwrap_or(SystemTime::UNIX_EPOCH);
                    whole.push(Action { key: *key, blobs, used, live: live.contains(key) });
                }
                None => broken.push(*key),
            }
        })?;
        for blob in whole.iter().flat_map(|a| &a.blobs) {
            *self.users.entry(*blob).or_default() += 1;
        }
        (self.actions, self.dropped) = (whole, broken);
        Ok(())
    }

    /// Drops what the policy says: what no record has any more, then what was used longest ago.
    fn drop_actions(&mut self, policy: &Policy) {
        let mut actions = std::mem::take(&mut self.actions);
        actions.sort_by_key(|a| (a.live, a.used));
        let now = SystemTime::now();
        let old = |a: &Action| !a.live && policy.older_than.is_some_and(|limit| a.used + limit < now);
        let mut size: u64 = self.stored.values().filter(|b| self.is_used(&b.digest)).map(|b| b.size).sum();
        for action in actions {
            if old(&action) || policy.max_size.is_some_and(|most| size > most) {
                size -= self.drop_action(&action);
            }
        }
    }

    /// Gives the bytes that it alone had.
    fn drop_action(&mut self, action: &Action) -> u64 {
        self.dropped.push(action.key);
        let mut freed = 0;
        for blob in &action.blobs {
            if let Some(users) = self.users.get_mut(blob) {
                *users -= 1;
            }
            if !self.is_used(blob) {
                // A blob that stands twice in it is counted once: its users reach 0 only with the last.
                freed += self.stored.get(blob).map_or(0, |b| b.size);
            }
        }
        freed
    }

    fn is_used(&self, blob: &Sha256) -> bool {
        self.marked.contains(blob) || self.users.get(blob).is_some_and(|&users| users > 0)
    }

    fn garbage(&self, older_than: Option<Duration>, shared: bool) -> Vec<Stored> {
        let now = SystemTime::now();
        let old = |b: &Stored| older_than.is_some_and(|limit| b.used + limit < now);
        self.stored.values().filter(|b| !self.is_used(&b.digest) && (!shared || old(b))).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_64_digits_and_no_more() {
        let one = "a".repeat(64);
        let text =
            format!("{{\"x\": \"{one}\", \"y\": \"sha256:{}\"}} {} {}", "0".repeat(64), "b".repeat(65), "C".repeat(64));
        let mut found = Vec::new();
        digests(text.as_bytes(), &mut |d| found.push(d.hex()));
        assert_eq!(found, [one, "0".repeat(64)]);
    }
}
