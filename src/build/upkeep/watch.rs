//! What `watch` has to keep an eye on: the files that decide what is built, and how to tell that one changed.

use std::collections::BTreeSet;
use std::hash::{BuildHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::pipeline::axis;
use crate::pipeline::model::AxisKind;

use crate::build::events::Silence;
use crate::build::files;
use crate::build::outcome::{Account, Status};
use crate::build::reason::Reason;
use crate::build::reasons::Reasons;
use crate::build::request;
use crate::build::session::{BuildError, Order, Session, looked};
use crate::build::steps::values::list_of;

/// Something whose change calls for a build.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Item {
    /// A file, or a folder with all that it holds.
    Path(PathBuf),
    /// The files of the pipeline's folder that match.
    Glob(String),
}

/// What was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub items: BTreeSet<Item>,
    /// The steps that would run now, and why.
    pub stale: Vec<String>,
}

/// The pipeline file, the lists that values come from, and the inputs that no step makes, of what was asked for: those, too,
/// that commands found while they ran.
pub fn look(session: &Session, order: &Order) -> Result<Seen, BuildError> {
    let (mut engine, _) = looked(session, order, &mut Silence)?;
    let mut items = lists(session, order);
    let inputs = engine.steps.files.iter().map(|&path| engine.state.path(path));
    items.extend(inputs.map(|path| Item::Path(session.pipeline.root.join(path))));
    let found = engine.found_by_commands();
    items.extend(found.iter().map(|path| Item::Path(session.pipeline.root.join(path))));
    let summary = engine.summary(std::time::Instant::now(), Vec::new());
    let stale = summary.accounts.iter().filter(|a| matches!(a.status, Status::Stale | Status::Failed));
    // That an answer grows older is no change of a file.
    let change = |reason: &&Reason| !matches!(reason, Reason::NotFresh { .. });
    let changes = |a: &Account| a.reasons.iter().flat_map(Reasons::iter).filter(change).cloned().collect::<Vec<_>>();
    let stale = stale.map(|a| format!("{} {:?} {:?}", a.step, changes(a), a.message)).collect();
    Ok(Seen { items, stale })
}

/// Those of them that are known also where values cannot be read.
pub fn lists(session: &Session, order: &Order) -> BTreeSet<Item> {
    let pipeline = &session.pipeline;
    let mut items = BTreeSet::from([Item::Path(absolute(&pipeline.file))]);
    let wanted = request::wanted(pipeline, &order.asked);
    let targets = pipeline.targets.iter().zip(&wanted).filter(|(_, wanted)| wanted.is_wanted());
    for axis in targets.flat_map(|(target, _)| &target.axes) {
        items.extend(list_of(&axis.kind).map(|path| Item::Path(pipeline.root.join(path))));
        if let AxisKind::Glob(pattern) = &axis.kind {
            items.insert(Item::Glob(pattern.clone()));
        }
    }
    items
}

/// The path from the root of the file system on.
pub fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// A number that is another one when the item has changed. `root` is the pipeline's folder.
pub fn signature(root: &Path, item: &Item) -> u64 {
    // Without seeds: numbers of one process are compared with each other alone, and nobody chooses them.
    let mut hasher = foldhash::fast::FixedState::default().build_hasher();
    match item {
        Item::Glob(pattern) => axis::static_values(&AxisKind::Glob(pattern.clone()), root).hash(&mut hasher),
        Item::Path(path) => match std::fs::metadata(path) {
            Err(error) => error.kind().to_string().hash(&mut hasher),
            Ok(meta) if meta.is_dir() => {
                for (path, meta) in files::files_in(path).into_iter().flatten() {
                    path.hash(&mut hasher);
                    stamp(&meta, &mut hasher);
                }
            }
            Ok(meta) => stamp(&meta, &mut hasher),
        },
    }
    hasher.finish()
}

fn stamp(meta: &std::fs::Metadata, hasher: &mut impl Hasher) {
    // With the time that no one can set back: a file may come with an old one.
    (meta.len(), files::mtime(meta), files::ctime(meta), meta.ino(), files::is_executable(meta)).hash(hasher);
}

impl Item {
    /// Its name for people.
    pub fn name(&self, root: &Path) -> String {
        match self {
            Self::Path(path) => path.strip_prefix(root).unwrap_or(path).display().to_string(),
            Self::Glob(pattern) => pattern.clone(),
        }
    }
}
