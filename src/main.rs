//! Starts the command line and gives its exit code.

use std::process::ExitCode;

fn main() -> ExitCode {
    layermill::cli::main()
}
