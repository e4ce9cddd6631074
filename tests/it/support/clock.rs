//! A clock that jumps: the program's wall clock, which a library that is loaded before the system's sets forward or back
//! while it runs. Times of files stay the system's.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// Adds the seconds that a file says to what the system says.
const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t id, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int came = real(id, at), file = id == CLOCK_REALTIME ? open(getenv("CLOCK_AHEAD"), O_RDONLY) : -1;
    if (file >= 0) {
        char text[32] = "";
        if (read(file, text, sizeof text - 1) > 0) at->tv_sec += atol(text);
        close(file);
    }
    return came;
}
"#;

pub struct Clock {
    folder: TempDir,
}

impl Clock {
    /// One that is right so far.
    pub fn new() -> Self {
        let clock = Self { folder: TempDir::new().expect("a temporary folder") };
        fs::write(clock.file("clock.c"), LIBRARY).expect("written");
        let library = ["-shared", "-fPIC", "-o", "clock.so", "clock.c", "-ldl"];
        let compiled = Command::new("cc").args(library).current_dir(clock.folder.path()).status();
        assert!(compiled.expect("cc is there: Rust links with it").success());
        clock
    }

    /// A program that goes by this clock.
    pub fn of(&self, mut command: Command) -> Command {
        command.env("LD_PRELOAD", self.file("clock.so")).env("CLOCK_AHEAD", self.file("ahead"));
        command
    }

    /// From now on it is so many hours ahead, or behind.
    pub fn jump(&self, hours: i64) {
        jump(&self.folder.path().join("ahead"), hours);
    }

    /// The same, for those that outlive it.
    pub fn jumper(&self) -> impl Fn(i64) + Send + Sync + 'static {
        let file = self.file("ahead");
        move |hours| jump(&file, hours)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

fn jump(file: &std::path::Path, hours: i64) {
    let new = file.with_extension("new");
    fs::write(&new, (hours * 3600).to_string()).expect("written");
    fs::rename(new, file).expect("renamed");
}
