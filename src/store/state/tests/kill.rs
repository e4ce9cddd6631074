//! SIGKILL at any moment: what a process said that it flushed is there.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::*;

const VARIABLE: &str = "LAYERMILL_TEST_STATE";

fn counter(n: u64) -> FileRecord {
    FileRecord { stamp: Stamp { size: n, ..Stamp::default() }, ..file_record(0) }
}

/// The process that is killed: this test run again, with the folder in its environment. Without it, it is no test.
#[test]
fn writer() {
    let Some(dir) = std::env::var_os(VARIABLE) else { return };
    let mut state = open_whole(Path::new(&dir), Access::Write);
    let first = state.file("counter").map_or(0, |f| f.stamp.size);
    for n in first + 1.. {
        state.put_file("counter", counter(n));
        state.put_step(&format!("step {}", n % 50), &step_record(n as u8));
        state.put_action(digest(n as u8), &outputs(n as u8));
        state.flush().unwrap();
        println!("\nflushed {n}");
        if n % 4 == 0 {
            state.write_snapshot().unwrap();
        }
    }
}

#[test]
fn what_was_flushed_survives_a_kill() {
    let home = home();
    for round in 0..25 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "store::state::tests::kill::writer", "--nocapture"])
            .env(VARIABLE, home.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(|l| l.unwrap());
        let said = |line: &String| line.strip_prefix("flushed ").map(|n| n.parse::<u64>().unwrap());
        assert!(lines.by_ref().any(|l| said(&l).is_some()), "the writer writes");
        std::thread::sleep(Duration::from_micros(fastrand::u64(0..4000)));
        child.kill().unwrap();
        child.wait().unwrap();
        // Its last line may be cut short by the kill, but only behind a smaller number's digits: at least it was not flushed later.
        let last = lines.filter_map(|l| said(&l)).max().unwrap_or(0);
        let (state, set_aside) = open(home.path(), Access::Look);
        assert_eq!(set_aside, [], "round {round}");
        let found = state.file("counter").unwrap();
        assert!(found.stamp.size >= last && found == counter(found.stamp.size), "{last}");
        let step = state.step(&format!("step {}", found.stamp.size % 50));
        assert_eq!(step, Some(step_record(found.stamp.size as u8)));
    }
}
