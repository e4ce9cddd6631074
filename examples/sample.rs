//! Makes the sample: `cargo run --example sample -- [DIR]` writes it as an OCI image layout (`etc/sample` unless said),
//! in place of the one that is there. The same bytes each time.

use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fs, io};

#[path = "../tests/it/support/images.rs"]
#[allow(dead_code, reason = "the tests build more kinds of images than the sample holds")]
mod images;
#[path = "../tests/it/support/sample.rs"]
mod sample;

fn main() -> ExitCode {
    let mut args = env::args_os().skip(1);
    let folder = args.next().map_or_else(|| PathBuf::from("etc/sample"), PathBuf::from);
    if args.next().is_some() {
        eprintln!("usage: sample [DIR]");
        return ExitCode::from(2);
    }
    match write(&folder) {
        Ok(tags) => {
            println!("{}: {tags} tags", folder.display());
            ExitCode::SUCCESS
        }
        Err(e) => {
            eprintln!("{}: {e}", folder.display());
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &std::path::Path) -> io::Result<usize> {
    // What is there is replaced, so it has to be a layout: a slip of the pen should not cost somebody their files.
    if !folder.join("oci-layout").exists() && fs::read_dir(folder).is_ok_and(|mut d| d.next().is_some()) {
        return Err(io::Error::other("not empty, and not an OCI image layout: left as it is"));
    }
    let images = sample::images();
    images::write_layout(folder, &images)?;
    Ok(images.len())
}
