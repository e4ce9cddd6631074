//! `layermill init`

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::Path;

use super::error::Error;
use super::{Global, print};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The folder
    #[arg(default_value = ".")]
    folder: std::path::PathBuf,
}

/// A pipeline that works as it is, and the list that it reads.
const FILES: [(&str, &str); 2] =
    [("pipeline.yaml", include_str!("init/pipeline.yaml")), ("images.txt", include_str!("init/images.txt"))];

pub fn run(global: &Global, arguments: &Arguments) -> Result<u8, Error> {
    let folder = &arguments.folder;
    for (name, _) in FILES {
        let path = folder.join(name);
        if path.exists() {
            return Err(Error::wrong(format!("{} is there already", path.display())));
        }
    }
    std::fs::create_dir_all(folder).map_err(|e| Error::failed(format!("cannot make {}: {e}", folder.display())))?;
    for (name, text) in FILES {
        write(&folder.join(name), text)?;
    }
    let words = "wrote pipeline.yaml and images.txt\n\nnext: layermill plan     what a build would do\n      layermill build    tag lists, layers and a CSV over them, under result/\n";
    if global.quiet { Ok(super::exit::DONE) } else { print(words) }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    // Never over a file that came to be meanwhile.
    let written =
        OpenOptions::new().write(true).create_new(true).open(path).and_then(|mut f| f.write_all(text.as_bytes()));
    written.map_err(|e| match e.kind() {
        ErrorKind::AlreadyExists => Error::wrong(format!("{} is there already", path.display())),
        _ => Error::failed(format!("cannot write {}: {e}", path.display())),
    })
}
