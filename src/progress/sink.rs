//! Where a listener for programs writes: a file, or the standard output.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// What cannot be written is told once; a build does not fail because of those who watch it.
pub struct Sink {
    out: BufWriter<Box<dyn Write>>,
    name: String,
    broken: bool,
}

impl Sink {
    /// A new file; `-` is the standard output.
    pub fn open(path: &Path) -> io::Result<Self> {
        let out: Box<dyn Write> = if is_stdout(path) { Box::new(io::stdout()) } else { Box::new(File::create(path)?) };
        Ok(Self { out: BufWriter::new(out), name: path.display().to_string(), broken: false })
    }

    #[cfg(test)]
    pub fn of(out: impl Write + 'static) -> Self {
        Self { out: BufWriter::new(Box::new(out)), name: "test".into(), broken: false }
    }

    pub fn write(&mut self, bytes: &[u8]) {
        if !self.broken {
            let written = self.out.write_all(bytes);
            self.check(written);
        }
    }

    /// Hands on what was written, so that who reads along sees it.
    pub fn flush(&mut self) {
        if !self.broken {
            let flushed = self.out.flush();
            self.check(flushed);
        }
    }

    fn check(&mut self, written: io::Result<()>) {
        let Err(error) = written else { return };
        self.broken = true;
        // A reader that has seen enough, such as `head`, is no error.
        if error.kind() != io::ErrorKind::BrokenPipe {
            anstream::eprintln!("cannot write to {}: {error}; the build goes on without it", self.name);
        }
    }
}

pub fn is_stdout(path: &Path) -> bool {
    path.as_os_str() == "-"
}
