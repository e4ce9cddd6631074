//! `layermill completions`

use clap_complete::Shell;

use super::error::Error;
use super::print;

#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The shell [default: the one that $SHELL names]
    shell: Option<Shell>,
}

pub fn run(arguments: &Arguments, command: &mut clap::Command) -> Result<u8, Error> {
    let Some(shell) = arguments.shell.or_else(Shell::from_env) else {
        let help = "bash, elvish, fish, powershell or zsh".to_owned();
        return Err(Error::wrong("cannot tell the shell: name it").help(Some(help)));
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, command, "layermill", &mut script);
    print(&String::from_utf8_lossy(&script))
}
