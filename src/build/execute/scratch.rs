//! Scratch folders: one for each step that runs, used again once it is empty, since to make and remove one a step is
//! what a file system is slow at.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::rules::command::places::temporary_of;
use crate::sync::lock;
use rustix::fs::{CWD, Mode, OFlags, RawDir, RawDirEntry, openat};

/// The scratch folders of a build.
#[derive(Debug)]
pub(crate) struct ScratchFolders {
    /// All of them lie in this folder.
    above: PathBuf,
    made: AtomicU32,
    free: Mutex<Vec<PathBuf>>,
}

impl ScratchFolders {
    pub fn new(above: PathBuf) -> Self {
        Self { above, made: AtomicU32::new(0), free: Mutex::default() }
    }

    /// An empty folder that no one else has, and an empty one for temporary files beside it.
    pub fn take(&self) -> io::Result<PathBuf> {
        if let Some(folder) = self.free().pop() {
            return Ok(folder);
        }
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let folder = self.above.join(format!("{}-{number}", std::process::id()));
        fs::create_dir_all(&folder)?;
        fs::create_dir(temporary_of(&folder))?;
        Ok(folder)
    }

    /// Takes a folder back, for the next one. What was left beside it is removed, and one in which something was left.
    pub fn give_back(&self, folder: PathBuf) {
        let temporary = temporary_of(&folder);
        let emptied = || fs::remove_dir_all(&temporary).and_then(|()| fs::create_dir(&temporary)).is_ok();
        if is_empty(&folder) && (is_empty(&temporary) || emptied()) {
            self.give_back_empty(folder);
        } else {
            let _ = fs::remove_dir_all(&temporary);
            let _ = fs::remove_dir_all(&folder);
        }
    }

    /// The same for one in which nothing can be.
    pub fn give_back_empty(&self, folder: PathBuf) {
        self.free().push(folder);
    }

    fn free(&self) -> std::sync::MutexGuard<'_, Vec<PathBuf>> {
        lock(&self.free)
    }
}

/// Told with as few calls as there can be: it is asked for after each command.
fn is_empty(folder: &Path) -> bool {
    let mut room = [MaybeUninit::uninit(); 512];
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let Ok(folder) = openat(CWD, folder, flags, Mode::empty()) else { return false };
    let mut entries = RawDir::new(folder, &mut room);
    while let Some(entry) = entries.next() {
        match entry.as_ref().map(RawDirEntry::file_name) {
            Ok(name) if name == c"." || name == c".." => {}
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_given_again_only_when_it_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let folders = ScratchFolders::new(dir.path().join("tmp"));
        let (one, two) = (folders.take().unwrap(), folders.take().unwrap());
        assert_ne!(one, two);
        fs::write(two.join("left"), "").unwrap();
        folders.give_back(two.clone());
        assert!(!two.exists());
        folders.give_back(one.clone());
        assert_eq!(folders.take().unwrap(), one);
        fs::remove_dir(&one).unwrap();
        folders.give_back(one.clone());
        let three = folders.take().unwrap();
        assert_ne!(three, one);
        let left = temporary_of(&three).join("left");
        fs::write(&left, "").unwrap();
        folders.give_back(three.clone());
        assert_eq!(folders.take().unwrap(), three);
        assert!(temporary_of(&three).is_dir() && !left.exists());
        fs::remove_dir(temporary_of(&three)).unwrap();
        folders.give_back(three.clone());
        assert_ne!(folders.take().unwrap(), three);
    }
}
