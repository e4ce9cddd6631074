//! Where the outputs of one attempt are written, and where old ones wait meanwhile.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::rules::Job;

/// What else lies in a step's scratch folder, beside its outputs.
const OWN: &str = ".layermill";

pub(super) struct Places {
    /// Where the command writes each output.
    pub out: Vec<PathBuf>,
    aside: Vec<PathBuf>,
    real: Vec<PathBuf>,
    /// For files of ours; not there until it is asked for.
    own: PathBuf,
}

impl Places {
    /// `folders` tells which outputs are folders. `in_place`: the command names its outputs itself.
    pub fn new(job: &Job, folders: impl Iterator<Item = bool>, in_place: bool) -> io::Result<Self> {
        let own = job.scratch.join(OWN);
        let mut places = Self { out: Vec::new(), aside: Vec::new(), real: Vec::new(), own };
        let alone = job.step.outputs.len() == 1;
        for (position, (path, folder)) in job.step.outputs.iter().zip(folders).enumerate() {
            // The same name, and so the same ending, as the file that it becomes.
            let name = Path::new(path).file_name().unwrap_or_default();
            let out = if alone && name != OWN {
                job.scratch.join(name)
            } else {
                let holder = job.scratch.join(format!("out-{position}"));
                fs::create_dir(&holder)?;
                holder.join(name)
            };
            if folder && !in_place {
                fs::create_dir(&out)?;
            }
            places.out.push(out);
            if in_place {
                let real = job.root.join(path);
                fs::create_dir_all(real.parent().unwrap_or(&job.root))?;
                places.aside.push(places.own()?.join(format!("aside-{position}")));
                places.real.push(real);
            }
        }
        Ok(places)
    }

    /// A folder for files of ours.
    pub fn own(&self) -> io::Result<&Path> {
        match fs::create_dir(&self.own) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => Err(e),
            _ => Ok(&self.own),
        }
    }

    /// Moves the old outputs out of the way of a command that names them itself.
    pub fn set_aside(&self) -> io::Result<()> {
        for (real, aside) in self.real.iter().zip(&self.aside) {
            move_there(real, aside)?;
        }
        Ok(())
    }

    /// Moves what such a command wrote to where others write, and puts back what lay there before: the engine decides
    /// which stays.
    pub fn put_back(&self, done: bool) -> io::Result<()> {
        for ((real, aside), out) in self.real.iter().zip(&self.aside).zip(&self.out) {
            if done {
                move_there(real, out)?;
            } else {
                remove(real)?;
            }
            move_there(aside, real)?;
        }
        Ok(())
    }
}

/// The folder for what a command writes that is no output: beside its scratch folder, so that both are used again as long
/// as nothing is left in them.
pub fn temporary_of(scratch: &Path) -> PathBuf {
    scratch.with_extension("tmp")
}

/// Empties the folders of a step for the next attempt.
pub(super) fn clear(scratch: &Path) -> io::Result<()> {
    for folder in [&temporary_of(scratch), scratch] {
        remove(folder)?;
        fs::create_dir(folder)?;
    }
    Ok(())
}

/// Moves a file or folder, where it is there.
fn move_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}
