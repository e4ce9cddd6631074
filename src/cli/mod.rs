//! The command line: arguments in, calls down, words out. A file a command.

mod adopt;
mod build;
mod clean;
mod completions;
mod error;
mod explain;
mod gc;
mod graph;
mod init;
mod listen;
mod open;
mod plan;
mod schema;
mod signals;
mod status;
mod svg;
mod verify;
mod watch;
mod watcher;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::rules::command::sandbox;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

/// A make for container-image metadata
///
/// `pipeline.yaml` declares the files wanted: tag lists, layers, statistics, or whatever a command makes. What is
/// missing or out of date is built, in parallel, and nothing else.
#[derive(Debug, Parser)]
#[command(name = "layermill", version, arg_required_else_help = true)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub struct Global {
    /// The pipeline file [default: pipeline.yaml here or in the nearest folder above]
    #[arg(short, long, global = true, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Change to this folder first
    #[arg(short = 'C', long, global = true, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Give a variable of `vars:` another value; may be repeated
    #[arg(long, global = true, value_name = "NAME=VALUE", value_parser = set)]
    set: Vec<(String, String)>,
    /// Take the variables of this entry of `profiles:`
    #[arg(long, global = true, value_name = "NAME", env = "LAYERMILL_PROFILE")]
    profile: Option<String>,
    /// Commands and processor work at once [default: the number of cores]
    #[arg(short, long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Ask nothing over the network; answers that are there are taken, however old
    #[arg(long, global = true)]
    offline: bool,
    /// Where fetched content is kept [default: .layermill/store beside the pipeline]
    #[arg(long, global = true, value_name = "DIR", env = "LAYERMILL_STORE")]
    store: Option<PathBuf>,
    /// When to use colours
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    color: Color,
    /// Say nothing but what is wrong
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say every step and why it ran
    #[arg(short, long, global = true)]
    verbose: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

/// How a command's answer is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    #[default]
    Text,
    /// For programs
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring targets, steps or output files up to date
    Build(build::Arguments),
    /// Say what a build would run, and why, without running anything
    Plan(plan::Arguments),
    /// Say why a step is, or is not, up to date
    Explain(explain::Arguments),
    /// Take outputs that are there as up to date, without running anything
    Adopt(adopt::Arguments),
    /// Count the steps of each target: up to date, stale, missing, absent, failed
    Status(status::Arguments),
    /// Draw the targets (or steps) and what they need
    Graph(graph::Arguments),
    /// Read all outputs and the store again, and say what is damaged
    Verify(verify::Arguments),
    /// Remove outputs, or (--orphans) what no step makes any more
    Clean(clean::Arguments),
    /// Free what the store and the records hold and nothing needs
    Gc(gc::Arguments),
    /// Build, and build again whenever the pipeline or an input changes
    Watch(watch::Arguments),
    /// Write a pipeline to start from
    Init(init::Arguments),
    /// Print the JSON Schema of pipeline files, for editors
    Schema,
    /// Print completions for a shell
    Completions(completions::Arguments),
}

/// Exit codes of the command line.
mod exit {
    pub const DONE: u8 = 0;
    pub const FAILED: u8 = 1;
    /// The pipeline or the call is wrong.
    pub const WRONG: u8 = 2;
    pub const INTERRUPTED: u8 = 130;
}

/// Runs the command line that this process was given.
pub fn main() -> ExitCode {
    if let Some(failed) = confined() {
        return failed;
    }
    let cli = Cli::parse();
    error::set_up(cli.global.color);
    if let Some(folder) = &cli.global.directory
        && let Err(e) = std::env::set_current_dir(folder)
    {
        return error::show(&error::Error::wrong(format!("cannot change to {}: {e}", folder.display())));
    }
    let done = match &cli.command {
        Command::Build(arguments) => build::run(&cli.global, arguments),
        Command::Plan(arguments) => plan::run(&cli.global, arguments),
        Command::Explain(arguments) => explain::run(&cli.global, arguments),
        Command::Adopt(arguments) => adopt::run(&cli.global, arguments),
        Command::Status(arguments) => status::run(&cli.global, arguments),
        Command::Graph(arguments) => graph::run(&cli.global, arguments),
        Command::Verify(arguments) => verify::run(&cli.global, arguments),
        Command::Clean(arguments) => clean::run(&cli.global, arguments),
        Command::Gc(arguments) => gc::run(&cli.global, arguments),
        Command::Watch(arguments) => watch::run(&cli.global, arguments),
        Command::Init(arguments) => init::run(&cli.global, arguments),
        Command::Schema => schema::run(),
        Command::Completions(arguments) => completions::run(arguments, &mut Cli::command()),
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => error::show(&error),
    }
}

/// What this program does when it is started to confine a command: see [`sandbox`]. It comes before all else, since a
/// command's arguments are not ours to read.
fn confined() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != sandbox::SUBCOMMAND {
        return None;
    }
    let (folder, program) = (arguments.next()?, arguments.next()?);
    let error = sandbox::confine(&folder, &program, &arguments.collect::<Vec<_>>());
    eprintln!("cannot start `{}`: {error}", program.display());
    Some(ExitCode::from(127))
}

fn set(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// Prints a value as JSON.
fn print_json(value: &impl serde::Serialize) -> Result<u8, error::Error> {
    let text = serde_json::to_string_pretty(value).map_err(|e| error::Error::failed(e.to_string()))?;
    write(&format!("{}\n", crate::progress::escape::json(&text)))
}

/// Prints an answer. Names and messages may hold anything; what is printed is nothing but text.
fn print(text: &str) -> Result<u8, error::Error> {
    write(&crate::progress::escape::lines(text))
}

/// A reader that has seen enough, such as `head`, is no error.
fn write(text: &str) -> Result<u8, error::Error> {
    use std::io::Write;
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error::Error::failed(format!("cannot write the answer: {e}")))
        }
        _ => Ok(exit::DONE),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_well_formed() {
        Cli::command().debug_assert();
    }
}
