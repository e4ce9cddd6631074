//! Waits for files to change: told by the system where it can, by looking again and again where it cannot.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::watch;

use crate::build::upkeep::watch::{Item, signature};

use super::error::Error;

/// An editor writes a file in several steps: changes are taken together once it is quiet for so long.
const QUIET: Duration = Duration::from_millis(200);
/// A file that is written all the time is built from after so long nevertheless.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often files are looked at where nothing tells of changes.
const POLL: Duration = Duration::from_secs(1);

enum Wake {
    Changed(Vec<PathBuf>),
    /// Something was missed: everything is to be looked at.
    Missed,
    Stop,
}

/// Knows how every item looked when it was last built from.
pub struct Watcher {
    wakes: Receiver<Wake>,
    send: Sender<Wake>,
    /// `None`: everything is looked at again and again.
    native: Option<RecommendedWatcher>,
    /// Folders that the system tells of.
    folders: HashSet<PathBuf>,
    root: PathBuf,
    seen: HashMap<Item, u64>,
    /// Where the items that are links lead.
    ends: HashMap<Item, PathBuf>,
}

impl Watcher {
    pub fn new(poll: bool, mut stop: watch::Receiver<bool>) -> Result<Self, Error> {
        let (send, wakes) = channel();
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        let runtime = runtime.map_err(|e| Error::failed(format!("cannot listen for signals: {e}")))?;
        let stopped = send.clone();
        std::thread::spawn(move || {
            // No one listens any more once the program ends.
            if runtime.block_on(stop.wait_for(|s| *s)).is_ok() {
                let _ = stopped.send(Wake::Stop);
            }
        });
        let mut watcher = Self {
            wakes,
            send,
            native: None,
            folders: HashSet::new(),
            root: PathBuf::new(),
            seen: HashMap::new(),
            ends: HashMap::new(),
        };
        if !poll {
            watcher.start();
        }
        Ok(watcher)
    }

    fn start(&mut self) {
        let send = self.send.clone();
        let native = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let wake = match event {
                Ok(event) if event.need_rescan() => Wake::Missed,
                Ok(event) if matches!(event.kind, EventKind::Access(_)) => return,
                Ok(event) => Wake::Changed(event.paths),
                Err(_) => Wake::Missed,
            };
            let _ = send.send(wake);
        });
        match native {
            Ok(native) => self.native = Some(native),
            Err(error) => Self::tell_polling(&error),
        }
    }

    fn tell_polling(error: &notify::Error) {
        anstream::eprintln!("the system cannot tell of changes ({error}): looking every second instead");
    }

    /// Watches these from now on. Gives how many are new.
    pub fn set(&mut self, root: &Path, items: &BTreeSet<Item>) -> usize {
        root.clone_into(&mut self.root);
        self.seen.retain(|item, _| items.contains(item));
        self.ends = items.iter().filter_map(|item| Some((item.clone(), end_of_link(item)?))).collect();
        let ends = self.ends.values().filter_map(|end| end.parent().map(Path::to_owned));
        let wanted: HashSet<PathBuf> = items.iter().flat_map(|item| folders_of(root, item)).chain(ends).collect();
        let gone: Vec<PathBuf> = self.folders.difference(&wanted).cloned().collect();
        for folder in gone {
            if let Some(native) = &mut self.native {
                // A folder that is gone is not watched either.
                let _ = native.unwatch(&folder);
            }
            self.folders.remove(&folder);
        }
        for folder in wanted {
            let Some(native) = &mut self.native else { break };
            if self.folders.contains(&folder) {
                continue;
            }
            match native.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.folders.insert(folder)),
                // It was removed just now: what lies above it tells when it is back.
                Err(_) if !folder.exists() => {}
                Err(error) => {
                    Self::tell_polling(&error);
                    self.native = None;
                    self.folders.clear();
                }
            }
        }
        // Looked at after they are watched, so that no change falls between the two.
        let before = self.seen.len();
        for item in items {
            self.seen.entry(item.clone()).or_insert_with(|| signature(root, item));
        }
        self.seen.len() - before
    }

    /// Waits for a change, and gives the names of what changed; `None` where the person wants to stop.
    pub fn wait(&mut self) -> Option<Vec<String>> {
        loop {
            let wake = if self.native.is_some() {
                self.wakes.recv().unwrap_or(Wake::Stop)
            } else {
                match self.wakes.recv_timeout(POLL) {
                    Ok(wake) => wake,
                    Err(RecvTimeoutError::Timeout) => Wake::Missed,
                    Err(RecvTimeoutError::Disconnected) => Wake::Stop,
                }
            };
            let suspects = self.gather(wake)?;
            let mut changed: Vec<String> = Vec::new();
            for item in suspects {
                let now = signature(&self.root, &item);
                if self.seen.insert(item.clone(), now) != Some(now) {
                    changed.push(item.name(&self.root));
                }
            }
            if !changed.is_empty() {
                changed.sort();
                return Some(changed);
            }
            // A folder may be new, and what is to be watched lie in it.
            let items = self.seen.keys().cloned().collect();
            let root = self.root.clone();
            self.set(&root, &items);
        }
    }

    /// The items that this wake, and all that follow until it is quiet, may be about.
    fn gather(&mut self, first: Wake) -> Option<Vec<Item>> {
        let end = Instant::now() + PATIENCE;
        let mut paths = HashSet::new();
        let mut all = false;
        let mut wake = first;
        loop {
            match wake {
                Wake::Stop => return None,
                Wake::Missed => all = true,
                Wake::Changed(changed) => paths.extend(changed),
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.wakes.recv_timeout(QUIET.min(left)) {
                Ok(next) if !left.is_zero() => wake = next,
                Ok(Wake::Stop) => return None,
                Ok(Wake::Changed(changed)) => {
                    paths.extend(changed);
                    break;
                }
                Ok(Wake::Missed) => {
                    all = true;
                    break;
                }
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        Some(self.seen.keys().filter(|item| all || self.concerns(item, &paths)).cloned().collect())
    }

    fn concerns(&self, item: &Item, changed: &HashSet<PathBuf>) -> bool {
        match item {
            // What lies above it may have been replaced; what lies below it is part of it.
            Item::Path(path) => {
                path.ancestors().any(|a| changed.contains(a))
                    || changed.iter().any(|c| c.starts_with(path))
                    || self.ends.get(item).is_some_and(|end| changed.contains(end))
            }
            Item::Glob(_) => changed.iter().any(|c| c.starts_with(&self.root) && !is_ours(c)),
        }
    }
}

/// The folders that tell of an item: the one that it lies in (or the nearest one that is there), its own where it is one,
/// and for a pattern all that may hold files of it.
fn folders_of(root: &Path, item: &Item) -> Vec<PathBuf> {
    match item {
        Item::Path(path) => {
            let mut folders: Vec<PathBuf> =
                path.ancestors().skip(1).find(|a| a.is_dir()).map(Path::to_owned).into_iter().collect();
            if path.is_dir() {
                folders.extend(below(path));
            }
            folders
        }
        Item::Glob(pattern) => {
            let fixed = pattern.split('/').take_while(|s| !s.contains(['*', '?', '[', ']', '{', '}', '\\']));
            let start = fixed.fold(root.to_owned(), |path, part| path.join(part));
            let there = start.ancestors().find(|a| a.is_dir()).unwrap_or(root).to_owned();
            if start.is_dir() { below(&start) } else { vec![there] }
        }
    }
}

/// The file that an item is read from, where that lies elsewhere.
fn end_of_link(item: &Item) -> Option<PathBuf> {
    match item {
        Item::Path(path) if path.is_symlink() => path.canonicalize().ok(),
        Item::Path(_) | Item::Glob(_) => None,
    }
}

/// A folder and all below it that may hold inputs.
fn below(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    let mut at = 0;
    while at < found.len() {
        let entries = std::fs::read_dir(&found[at]).into_iter().flatten().flatten();
        let folders = entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path());
        let folders: Vec<PathBuf> = folders.filter(|path| !is_ours(path)).collect();
        found.extend(folders);
        at += 1;
    }
    found
}

/// What is written there is no input.
fn is_ours(path: &Path) -> bool {
    path.components().any(|c| c.as_os_str() == ".layermill" || c.as_os_str() == ".git")
}
