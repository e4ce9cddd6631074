//! What a command printed, as the events tell it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::relative;
use crate::build::events::Printed;

/// How much of the end of an output is told, in bytes. The log has all of it.
const TOLD: u64 = 64 << 10;

/// The end of a log below `root`; `None` where there is none, or nothing in it.
pub(crate) fn read(log: &Path, root: &Path) -> Option<Printed> {
    let (bytes, left_out) = end(log).ok().filter(|(bytes, _)| !bytes.is_empty())?;
    let lines = String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect();
    Some(Printed { lines, left_out, log: relative(log, root) })
}

/// The last bytes of a file, from the start of a line on, and how many stand before them.
fn end(log: &Path) -> io::Result<(Vec<u8>, u64)> {
    let mut file = File::open(log)?;
    let mut start = file.metadata()?.len().saturating_sub(TOLD);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(TOLD).read_to_end(&mut bytes)?;
    if start > 0
        && let Some(line) = bytes.iter().position(|&b| b == b'\n')
    {
        bytes.drain(..=line);
        start += line as u64 + 1;
    }
    Ok((bytes, start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_long_output_the_end_is_told_in_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        assert_eq!(read(&log, folder.path()), None);
        std::fs::write(&log, "").unwrap();
        assert_eq!(read(&log, folder.path()), None);
        std::fs::write(&log, "one\ntwo").unwrap();
        let short = read(&log, folder.path()).unwrap();
        assert_eq!((short.lines, short.left_out), (vec!["one".to_owned(), "two".to_owned()], 0));
        let text: String = (0..20_000).map(|n| format!("line {n}\n")).collect();
        std::fs::write(&log, &text).unwrap();
        let long = read(&log, folder.path()).unwrap();
        assert_eq!(long.lines.last().unwrap(), "line 19999");
        assert!(text[usize::try_from(long.left_out).unwrap()..].starts_with(&format!("{}\n", long.lines[0])));
    }
}
