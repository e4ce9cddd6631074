//! `layermill clean`

use std::fmt::Write as _;
use std::io::{BufRead, IsTerminal, Write as _};

use crate::build::upkeep::orphans::{Candidate, Candidates, Fate, Removed, Untold, orphans, outputs_of, remove};
use crate::progress::counted;

use super::error::Error;
use super::{Global, exit, open, print};

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Targets, steps or output files [default: all; lists them and asks first]
    #[arg(value_name = "TARGET")]
    wanted: Vec<String>,
    /// Remove what no step makes any more; lists it and asks first
    #[arg(long, conflicts_with = "wanted")]
    orphans: bool,
    /// Say what would be removed
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// Remove also files that were changed since they were made
    #[arg(long)]
    force: bool,
}

pub fn run(global: &Global, arguments: &Arguments) -> Result<u8, Error> {
    let session = open::session(global)?;
    let mut order = open::order(global, &session, &arguments.wanted)?;
    if arguments.wanted.is_empty() {
        order.asked = open::everything(&session);
    }
    let wrong = |e| Error::build(e, &session.pipeline);
    let found = if arguments.orphans { orphans(&session) } else { outputs_of(&session, &order) }.map_err(wrong)?;
    let to_go = found.list.iter().filter(|c| goes(&c.fate, arguments.force)).count();
    if arguments.dry_run {
        return print(&format!("{}{} would be removed\n", listed(&found, arguments.force), counted(to_go, "output")));
    }
    // Who names what is to go has said it.
    if arguments.wanted.is_empty() && to_go > 0 && !arguments.yes {
        print(&listed(&found, arguments.force))?;
        if !(std::io::stdin().is_terminal() && std::io::stderr().is_terminal()) {
            let help = "--yes removes them, -n lists them and no more".to_owned();
            return Err(Error::wrong("nothing is removed, since nobody can be asked").help(Some(help)));
        }
        if !agreed(to_go)? {
            return print("nothing was removed\n");
        }
    } else if !global.quiet {
        // Of what was named it is told what goes with it.
        let is_told = |candidate: &&Candidate| arguments.orphans || candidate.note.is_some();
        let list = found.list.iter().filter(is_told).cloned().collect();
        print(&listed(&Candidates { list, ..found.clone() }, arguments.force))?;
    }
    let removed = remove(&session, &order, &found, arguments.force).map_err(wrong)?;
    if global.quiet { Ok(exit::DONE) } else { print(&told(&removed, global.verbose)) }
}

fn goes(fate: &Fate, force: bool) -> bool {
    match fate {
        Fate::Remove => true,
        Fate::Keep(_) => force,
        Fate::Forget => false,
    }
}

fn listed(found: &Candidates, force: bool) -> String {
    let mut text = String::new();
    for candidate in &found.list {
        let note = candidate.note.as_ref().map(|note| format!(", {note}")).unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = match &candidate.fate {
            Fate::Keep(why) if !force => writeln!(text, "keep    {}  {why}; --force removes it", candidate.path),
            Fate::Remove | Fate::Keep(_) => writeln!(text, "remove  {}{note}", candidate.path),
            Fate::Forget => writeln!(text, "forget  {}  it is not there any more", candidate.path),
        };
    }
    for Untold { target, why } in &found.untold {
        let when = why.as_deref().unwrap_or("its steps are told once what it is read out of is built");
        let _ = writeln!(text, "keep    what {target} may make: {when}");
    }
    if found.untold.iter().any(|untold| untold.why.is_none()) {
        text.push_str("        --offline goes by what is there: nothing is asked again then\n");
    }
    text
}

fn agreed(count: usize) -> Result<bool, Error> {
    let failed = |e: std::io::Error| Error::failed(format!("cannot ask: {e}"));
    let mut stderr = std::io::stderr();
    write!(stderr, "remove {}? [y/N] ", counted(count, "output")).and_then(|()| stderr.flush()).map_err(failed)?;
    let mut answer = String::new();
    std::io::stdin().lock().read_line(&mut answer).map_err(failed)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn told(removed: &Removed, verbose: bool) -> String {
    let mut text = String::new();
    if verbose {
        removed.removed.iter().for_each(|path| text.extend([path.as_str(), "\n"]));
    }
    for (path, why) in &removed.kept {
        let _ = writeln!(text, "kept {path}: {why}; --force removes it");
    }
    let mut more = String::new();
    if removed.folders > 0 {
        let _ = write!(more, ", {}", counted(removed.folders, "empty folder"));
    }
    if removed.forgotten > 0 {
        let _ = write!(more, ", {} of what is not there", counted(removed.forgotten, "record"));
    }
    let _ = writeln!(text, "{}{more} removed", counted(removed.removed.len(), "output"));
    text
}
