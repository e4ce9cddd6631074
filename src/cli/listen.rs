//! Who listens to a build: the person, and programs by `--events` and `--trace`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use crate::progress::{self, Fan, Ndjson, Sink, Style, Trace};

use super::error::Error;
use super::{Format, Global};

#[derive(Debug, clap::Args)]
pub struct Listening {
    /// Write what happens as lines of JSON; `-` is the standard output (docs/events.md)
    #[arg(long, value_name = "FILE")]
    events: Option<PathBuf>,
    /// Write a timeline for Perfetto or chrome://tracing; `-` is the standard output
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
}

impl Listening {
    /// The listeners of a build whose summary is printed in this format.
    pub fn listeners(&self, global: &Global, format: Format) -> Result<Fan, Error> {
        let mut fan = progress::listeners(style(global));
        self.add_files(&mut fan, format)?;
        Ok(fan)
    }

    /// Only those that write files.
    pub fn files(&self, format: Format) -> Result<Fan, Error> {
        let mut fan = Fan::default();
        self.add_files(&mut fan, format)?;
        Ok(fan)
    }

    fn add_files(&self, fan: &mut Fan, format: Format) -> Result<(), Error> {
        self.check(format)?;
        if let Some(path) = &self.events {
            fan.add(Ndjson::new(open(path)?));
        }
        if let Some(path) = &self.trace {
            fan.add(Trace::new(open(path)?));
        }
        Ok(())
    }

    /// Each output has room for one of them.
    fn check(&self, format: Format) -> Result<(), Error> {
        let files = [("--events", &self.events), ("--trace", &self.trace)];
        let mut taken = Vec::new();
        if format == Format::Json {
            taken.push(("--format json", Path::new("-")));
        }
        for (flag, path) in files.iter().filter_map(|(flag, path)| Some((*flag, path.as_deref()?))) {
            if let Some((other, _)) = taken.iter().find(|(_, there)| *there == path) {
                let place = if path == Path::new("-") { "the standard output".into() } else { path.to_string_lossy() };
                return Err(Error::wrong(format!("{other} and {flag} both want {place}"))
                    .help(Some(format!("name another file after {flag}"))));
            }
            taken.push((flag, path));
        }
        Ok(())
    }
}

fn open(path: &Path) -> Result<Sink, Error> {
    Sink::open(path).map_err(|e| Error::failed(format!("cannot write to {}: {e}", path.display())))
}

fn style(global: &Global) -> Style {
    let moves = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
    match () {
        () if global.quiet => Style::Quiet,
        () if global.verbose => Style::Verbose,
        () if moves => Style::Bar,
        () => Style::Plain,
    }
}
