//! `sandbox: true`: a command that can write only in its own folder and signal only its own processes, by Landlock.
//!
//! What is restricted stays so, and only its own process can restrict itself. So the command is started through this
//! very program, as its hidden subcommand [`SUBCOMMAND`], which restricts itself and then becomes the command.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::sync::OnceLock;

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetError, Scope,
};

/// What this program is told to confine itself. Its arguments: the folder to write in, the program, its own arguments.
pub const SUBCOMMAND: &str = "__confined";

/// This program, wherever its file went since it was started: in a child it still is the parent's program.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Devices that shells and programs write to and that keep nothing.
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/tty"];

/// The arguments that confine a command to writing below `folder`.
pub(super) fn confined(argv: Vec<OsString>, folder: &Path) -> Vec<OsString> {
    let before = [OsStr::new(THIS_PROGRAM), OsStr::new(SUBCOMMAND), folder.as_os_str()];
    before.into_iter().map(OsStr::to_owned).chain(argv).collect()
}

/// Whether commands can be confined here. What the crate says where they cannot is for those who know its types.
pub(super) fn is_possible() -> bool {
    static POSSIBLE: OnceLock<bool> = OnceLock::new();
    *POSSIBLE.get_or_init(|| ruleset().is_ok())
}

/// Rules under which nothing may be written anywhere. That the oldest version is there is required; the newer ones
/// also keep files from being cut short by their names, and processes outside from being signalled or talked to by
/// abstract sockets, and are used where they are.
fn ruleset() -> Result<landlock::RulesetCreated, RulesetError> {
    Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_write(ABI::V1))?
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_write(ABI::V3))?
        .scope(Scope::from_all(ABI::V6))?
        .create()
}

/// Restricts this process to writing below `folder`, and becomes the command. Returns only where that fails.
pub fn confine(folder: &OsStr, program: &OsStr, arguments: &[OsString]) -> io::Error {
    let restricted = || -> Result<(), Box<dyn std::error::Error>> {
        let all = AccessFs::from_write(ABI::V3);
        let mut rules = ruleset()?.add_rule(PathBeneath::new(PathFd::new(folder)?, all))?;
        for device in DEVICES {
            // One that is not there cannot be written to either.
            if let Ok(fd) = PathFd::new(device) {
                rules = rules.add_rule(PathBeneath::new(fd, AccessFs::WriteFile))?;
            }
        }
        rules.restrict_self()?;
        Ok(())
    };
    match restricted() {
        Ok(()) => std::process::Command::new(program).args(arguments).exec(),
        Err(e) => io::Error::other(format!("cannot confine itself: {e}")),
    }
}
