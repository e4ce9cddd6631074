//! What `verify` does: every recorded output and every blob is read again and hashed, whatever its stamp says.

use std::path::Path;

use rayon::prelude::*;
use tokio::sync::watch;

use crate::store::blobs::Blobs;
use crate::store::state::{Access, FileRecord, State};

use crate::build::events::{Listener, Silence};
use crate::build::files::inside;
use crate::build::files::{self, Look};
use crate::build::outcome::Summary;
use crate::build::request::{self, Asked};
use crate::build::session::{BuildError, Order, Session, build, io, looked, take_lock};

/// What was found.
#[derive(Debug, Default)]
pub struct Verified {
    /// How many outputs were read.
    pub outputs: usize,
    /// How many blobs of the store were read.
    pub blobs: usize,
    /// Outputs by path, then blobs by digest.
    pub damaged: Vec<Damage>,
    /// The build that repaired.
    pub build: Option<Summary>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Relative to the pipeline's folder; of a blob, as the store is named.
    pub path: String,
    pub is_blob: bool,
    /// The digest that it was recorded with.
    pub recorded: String,
    /// The digest that it has, or what else is wrong with it.
    pub found: String,
    /// Of a folder, the files in it that are not as they were made, and what is wrong with each, where that can be told.
    pub inside: Vec<(String, String)>,
    /// It is as recorded again; a damaged blob is gone, and made or fetched again when it is needed.
    pub repaired: bool,
}

/// Reads the outputs of what was asked for; everything that is recorded, and the store, where nothing was named.
pub fn verify(
    session: &Session,
    order: &Order,
    repair: bool,
    stop: watch::Receiver<bool>,
    listener: &mut dyn Listener,
) -> Result<Verified, BuildError> {
    let named = !order.asked.is_empty();
    if !session.work_dir.exists() {
        return Ok(Verified::default());
    }
    let (mut verified, broken) = {
        // A file that a build is just writing is not damaged.
        let _lock = match take_lock(session, order, &stop, listener) {
            Ok(lock) => Some(lock),
            // Where nothing may be written, no build of ours runs either.
            Err(BuildError::Io { source, .. }) if !repair && is_closed(&source) => None,
            Err(error) => return Err(error),
        };
        let (state, _) = session.open_state(Access::Look)?;
        let paths = if named { asked_paths(session, order)? } else { recorded_paths(&state) };
        let found = check_outputs(session, &state, &paths);
        let mut verified = Verified { outputs: paths.len(), damaged: found, ..Verified::default() };
        let broken: Vec<String> = verified.damaged.iter().map(|d| d.path.clone()).collect();
        if !named {
            check_store(session, repair, &mut verified)?;
        }
        if repair {
            distrust(session, &broken)?;
        }
        (verified, broken)
    };
    if repair && !broken.is_empty() {
        let asked = makers(session, &broken);
        verified.build = Some(build(session, &Order { asked, ..order.clone() }, stop, listener)?);
        let (state, _) = session.open_state(Access::Look)?;
        let still = check_outputs(session, &state, &broken);
        for damage in verified.damaged.iter_mut().filter(|d| !d.is_blob) {
            damage.repaired = still.iter().all(|s| s.path != damage.path);
        }
    }
    Ok(verified)
}

fn is_closed(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem)
}

/// The outputs of all steps that are recorded, whether the pipeline still has them or not.
fn recorded_paths(state: &State) -> Vec<String> {
    let mut paths = Vec::new();
    for id in state.step_ids() {
        let Some(step) = state.step_at(id).filter(|step| step.absent.is_none()) else { continue };
        paths.push(state.path(id).to_owned());
        paths.extend(step.more_outputs);
    }
    paths.retain(|path| state.file(path).is_some());
    paths.sort();
    paths.dedup();
    paths
}

fn asked_paths(session: &Session, order: &Order) -> Result<Vec<String>, BuildError> {
    let (engine, _) = looked(session, order, &mut Silence)?;
    if let Some(unknown) = engine.not_found(order) {
        return Err(unknown.into());
    }
    let ids = 0..u32::try_from(engine.steps.len()).unwrap_or(u32::MAX);
    let asked = ids.filter(|&id| order.asked.iter().any(|a| engine.is_asked(a, id)));
    let mut paths: Vec<String> = asked.flat_map(|id| engine.paths(id).map(str::to_owned)).collect();
    // The state on disk is asked, not the engine's: that one knows also what was just looked at.
    let (state, _) = session.open_state(Access::Look)?;
    paths.retain(|path| state.file(path).is_some());
    paths.sort();
    Ok(paths)
}

fn check_outputs(session: &Session, state: &State, paths: &[String]) -> Vec<Damage> {
    let (root, blobs) = (&session.pipeline.root, Blobs::look(&session.store));
    let check = |path: &String| {
        let record = state.file(path)?;
        let full = root.join(path);
        let found = read_again(&full, &record)?;
        let inside =
            if full.is_dir() { inside::damaged(&full, path, record.content, state, &blobs) } else { Vec::new() };
        Some(Damage {
            path: path.clone(),
            is_blob: false,
            recorded: format!("blake3:{}", record.content),
            found,
            inside,
            repaired: false,
        })
    };
    paths.par_iter().filter_map(check).collect()
}

/// What an output is instead of what was recorded; `None` where it is that.
pub(crate) fn read_again(path: &Path, record: &FileRecord) -> Option<String> {
    let folder = std::fs::symlink_metadata(path).is_ok_and(|m| m.is_dir());
    match files::look_at_output(path, None, folder) {
        Look::Same(now) | Look::Hashed(now) if now.content == record.content => None,
        Look::Same(now) | Look::Hashed(now) if now.content == record.content.executable() => {
            Some("the same bytes, and it can be executed".to_owned())
        }
        Look::Same(now) | Look::Hashed(now) if now.content.executable() == record.content => {
            Some("the same bytes, and it cannot be executed".to_owned())
        }
        Look::Same(now) | Look::Hashed(now) => Some(format!("blake3:{}", now.content)),
        Look::Missing => Some("missing".to_owned()),
        Look::Unusable(why) => Some(why.to_string()),
    }
}

fn check_store(session: &Session, repair: bool, verified: &mut Verified) -> Result<(), BuildError> {
    let blobs = Blobs::look(&session.store);
    let stored = blobs.list().map_err(io("read the store", &session.store))?;
    verified.blobs = stored.len();
    let mut damaged: Vec<Damage> = stored
        .par_iter()
        .filter_map(|stored| {
            let found = match blobs.rehash(&stored.digest) {
                Ok(Some(now)) if now == stored.digest => return None,
                Ok(Some(now)) => now.to_string(),
                Ok(None) => return None,
                Err(error) => error.to_string(),
            };
            Some(Damage {
                path: blobs.path(&stored.digest).display().to_string(),
                is_blob: true,
                recorded: stored.digest.to_string(),
                found,
                inside: Vec::new(),
                repaired: repair && blobs.remove(&stored.digest).is_ok(),
            })
        })
        .collect();
    damaged.sort_by(|a, b| a.path.cmp(&b.path));
    verified.damaged.extend(damaged);
    Ok(())
}

/// Makes the next build read these files whatever their stamps say.
fn distrust(session: &Session, paths: &[String]) -> Result<(), BuildError> {
    let (mut state, _) = session.open_state(Access::Write)?;
    for path in paths {
        if let Some(record) = state.file(path) {
            state.put_file(path, FileRecord { settled: false, ..record });
        }
    }
    state.close()?;
    Ok(())
}

/// What to build so that these outputs are made again: those that a step still makes. Of many, their whole targets.
fn makers(session: &Session, paths: &[String]) -> Vec<Asked> {
    /// So many outputs are asked for one by one.
    const FEW: usize = 200;
    let pipeline = &session.pipeline;
    let everything = Order { asked: request::everything(pipeline), ..Order::default() };
    // A pipeline that cannot be looked at is told by the build.
    let Ok((engine, _)) = looked(session, &everything, &mut Silence) else { return everything.asked };
    let made = paths.iter().filter(|path| engine.steps.find_path(&engine.state, path).is_some());
    let asked: Vec<Asked> = made.filter_map(|path| request::parse(pipeline, path).ok()).collect();
    if asked.len() <= FEW {
        return asked;
    }
    let mut targets: Vec<_> = asked.iter().flat_map(Asked::targets).collect();
    targets.sort_unstable();
    targets.dedup();
    targets.into_iter().map(Asked::Target).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Digest;

    #[test]
    fn what_no_stamp_tells_is_found() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a");
        std::fs::write(&path, "as it is").unwrap();
        let Look::Hashed(now) = files::look_at_output(&path, None, false) else { panic!("it was never seen") };
        assert_eq!(read_again(&path, &now), None);
        let recorded = FileRecord { content: Digest::of(b"as it was"), settled: true, ..now };
        assert!(matches!(files::look_at_output(&path, Some(recorded), false), Look::Same(_)));
        assert_eq!(read_again(&path, &recorded), Some(format!("blake3:{}", now.content)));
    }
}
