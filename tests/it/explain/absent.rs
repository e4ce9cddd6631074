//! What is absent is told as that, and why it comes and goes.

use super::assert_says;
use crate::support::project::Project;
use crate::support::sample;
use crate::support::words::exit;

/// The tags of a repository that is not in `images`, asked about in each build, and what reads them one to one.
fn absent() -> Project {
    let project = Project::new(
        "version: 1
sources: {shelf: {kind: oci-layout, path: images}}
targets:
  tags: {rule: tags, source: shelf, fresh: digest, foreach: {repo: [library/redis]}, output: \"tags/{repo}.json\"}
  copy: {rule: command, foreach: {repo: [library/redis]}, inputs: [tags], run: \"cp {in} {out}\", output: \"copy/{repo}.json\"}
",
    );
    shelve(&project, |name| !name.starts_with("library/redis:"));
    project
}

/// Fills the shelf anew.
fn shelve(project: &Project, which: impl Fn(&str) -> bool) {
    let _ = std::fs::remove_dir_all(project.path("images"));
    let images: Vec<_> = sample::images().into_iter().filter(|(name, _)| which(name)).collect();
    project.layout("images", &images);
}

#[test]
fn what_reads_an_absent_step_is_told_as_absent_until_that_is_asked() {
    let project = absent();
    assert_eq!(project.build(&[]).absent, 2);
    let said = "tags@repo=library/redis was absent, and is asked about again first";
    assert_says(&project.explain("copy"), &["copy@repo=library/redis: absent", said]);
    let plan = project.run(&["plan"]).exits(exit::DONE).stdout;
    assert_says(&plan, &["absent   copy@repo=library/redis", said, "1 to run, 0 up to date, 1 absent"]);
    let rows = project.run(&["status", "copy", "--format", "json"]).exits(exit::DONE).stdout;
    let rows: serde_json::Value = serde_json::from_str(&rows).expect("JSON");
    let copy = rows.as_array().expect("rows").iter().find(|row| row["target"] == "copy").expect("a row");
    assert_eq!((&copy["absent"], &copy["missing"]), (&1.into(), &0.into()));
    // Another source may have it no more than the one before: nothing is sure to be made.
    project.edit("path: images", "path: others");
    project.layout("others", &sample::images()[..1]);
    for arguments in [&["plan", "-v"][..], &["plan", "-v", "--refresh"]] {
        let plan = project.run(arguments).exits(exit::DONE).stdout;
        assert_says(
            &plan,
            &["run      tags@repo=library/redis  changed question: source", "absent   copy@repo=library/redis", said],
        );
    }
    assert_says(&project.explain("copy"), &["copy@repo=library/redis: absent", said]);
    project.edit("path: others", "path: images");
    // Once it is asked, it is seen.
    shelve(&project, |_| true);
    assert_eq!(project.build(&[]).built, 2);
    assert!(project.exists("copy/library/redis.json"));
}

#[test]
fn what_a_source_does_not_have_it_does_not_have_for_other_parameters() {
    let project = Project::new(
        "version: 1
sources: {shelf: {kind: oci-layout, path: images}}
targets:
  nope: {rule: layers, source: shelf, repo: library/redis, foreach: {tag: [nope]}, output: \"layers/{tag}.json\"}
",
    );
    shelve(&project, |_| true);
    assert_eq!(project.build(&[]).absent, 1);
    project.edit("rule: layers", "rule: layers, sizes: uncompressed");
    project.plan(&[]).assert_nothing_done();
    let other = "again if  it asks its source another question (the source, or what is asked of it: ";
    let explained = project.explain("nope");
    assert_says(&explained, &["nope@tag=nope: absent", other, "; no other parameter\n"]);
    assert!(!explained.contains("an output"), "{explained}");
    for _ in 0..2 {
        assert_eq!(project.build(&[]).absent, 1);
    }
    project.edit("sizes: uncompressed", "missing: error");
    let help = "`--refresh` asks again, and without that setting it is left out";
    project.run(&["build"]).exits(exit::FAILED).says(help);
    let explained = project.explain("nope");
    assert_says(&explained, &["nope@tag=nope: failed", help, "again if  `--refresh` asks again (unasked, ", other]);
    assert!(!explained.contains("an output") && !explained.contains("mended"), "{explained}");
    assert_says(&project.run(&["plan", "-v"]).stdout, &["failed   nope@tag=nope", help]);
}

#[test]
fn what_comes_and_what_goes_says_so() {
    let project = absent();
    project.build(&["tags"]);
    shelve(&project, |_| true);
    project.build(&["tags"]);
    assert_says(&project.explain("tags"), &["last made was absent: ", "freshness: asked each time (digest)"]);
    shelve(&project, |name| !name.starts_with("library/redis:"));
    let gone = "gone: it was there when it was last made";
    let build = project.run(&["build", "tags", "-v"]).exits(exit::DONE);
    assert_says(&build.stderr, &[&format!("({gone}; freshness: asked each time (digest); ")]);
    let explained = project.explain("tags");
    assert_says(
        &explained,
        &["  absent    since 20", &format!("Z: {gone}\n            freshness: asked each time (digest)\n")],
    );
    assert!(!explained.contains("made at"), "nothing was made: {explained}");
    let json = project.run(&["explain", "tags", "--format", "json"]).exits(exit::DONE).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json[0]["last_made"]["absent"], &json[0]["last_made"]["causes"][0]), (&true.into(), &gone.into()));
}

#[test]
fn what_was_made_and_is_absent_is_no_first_build_under_another_name_or_in_another_order() {
    let project = absent();
    let outputs = ["output: \"copy/{repo}.json\"", "cp {in} {out}"];
    project.edit(outputs[0], "output: {a: \"a/{repo}\", b: \"b/{repo}\"}");
    project.edit(outputs[1], "cp {in} {out.a}; cp {in} {out.b}");
    let step = "copy@repo=library/redis";
    let [there, gone] = [|_: &str| true, |name: &str| !name.starts_with("library/redis:")];
    let back = |before: &str, after: &str, while_absent: bool| {
        shelve(&project, there);
        project.build(&[]);
        shelve(&project, gone);
        if while_absent {
            assert_eq!(project.build(&[]).absent, 2);
        }
        project.edit(before, after);
        for _ in 0..2 {
            assert_eq!(project.build(&[]).absent, 2);
            assert_says(&project.explain(step), &[": absent\n", "last made ", "made at "]);
        }
        shelve(&project, there);
        let build = project.run(&["build", "-v"]).exits(exit::DONE).stderr;
        let of = |line: &&str| line.contains(&format!(" {step} ("));
        let built = build.lines().find(of).unwrap_or_else(|| panic!("it comes back\n{build}"));
        assert_says(built, &["was absent: so was tags@repo=library/redis, which it reads"]);
        assert!(!built.contains("first build") && !built.contains("gone"), "{built}");
    };
    for while_absent in [true, false] {
        back("{a: \"a/{repo}\", b: \"b/{repo}\"}", "{b: \"b/{repo}\", a: \"a/{repo}\"}", while_absent);
        back("{b: \"b/{repo}\", a: \"a/{repo}\"}", "{a: \"a/{repo}\", b: \"c/{repo}\"}", while_absent);
        back("b: \"c/{repo}\"", "b: \"b/{repo}\"", while_absent);
    }
    let orphans = project.run(&["clean", "--orphans", "-n", "--offline"]).exits(exit::DONE).stdout;
    assert!(!orphans.contains("a/library/redis") && !orphans.contains("b/library/redis"), "{orphans}");
}

#[test]
fn what_it_read_and_what_would_make_it_run_again_names_sources_refreshes_times_and_members() {
    let project = Project::new(
        "version: 1
sources: {shelf: {kind: oci-layout, path: images}}
targets:
  tags: {rule: tags, source: shelf, fresh: 24h, foreach: {repo: {lines: repos.lst}}, output: \"tags/{repo}.json\"}
  other: {rule: layers, source: shelf, platform: linux/s390x, foreach: {tag: {from: tags, select: latest}}, output: \"o/{repo}/{tag}.json\"}
  latest: {rule: layers, source: shelf, foreach: {tag: {from: tags, select: latest}}, output: \"l/{repo}/{tag}.json\"}
  csv: {rule: stat, inputs: [latest], output: stat.csv}
  copy: {rule: command, foreach: {repo: {lines: repos.lst}}, inputs: [\"o/{repo}/latest.json\"], run: \"cp {in} {out}\", output: \"c/{repo}\"}
",
    );
    shelve(&project, |_| true);
    project.write("repos.lst", "library/nginx\n");
    project.build(&[]);
    let asks =
        ["again if  a build comes after ", "24h before, and its source answers otherwise", "`--refresh` asks at once"];
    assert_says(&project.explain("tags"), &asks);
    let never = "again if  `--refresh` asks again (unasked, what is absent stays so)";
    assert_says(&project.explain("other"), &["absent", never]);
    assert_says(
        &project.explain("copy"),
        &["again if  what it reads is not absent any more\n", "library/nginx is no more in repos.lst"],
    );
    assert!(!project.explain("latest").contains("`--refresh`"), "what has a digest does not change");
    assert_says(&project.explain("csv"), &["again if  latest gets or loses a step"]);
    let asked = project.explain("tags");
    assert_says(&asked, &["its source, a parameter or the rule's version changes"]);
    assert!(!asked.contains("no cause  source"), "{asked}");
    assert_says(
        &project.explain("latest"),
        &[
            "no cause  source: oci-layout images (what it reads there is named by its digest: any other but imagelayers gives the same)",
        ],
    );
    // What was read, and where the pipeline would read now, are two things.
    std::fs::rename(project.path("images"), project.path("others")).expect("moved");
    project.edit("path: images", "path: others");
    project.build(&[]);
    assert_says(
        &project.explain("latest"),
        &["source    oci-layout others", "it was oci-layout images when this was last made"],
    );
}

#[test]
fn a_fixed_tag_that_moved_and_repositories_that_came_are_named() {
    let project = Project::new(
        "version: 1
sources: {shelf: {kind: oci-layout, path: images}}
targets:
  one: {rule: layers, source: shelf, fresh: digest, foreach: {repo: [library/redis]}, tag: latest, output: \"o/{repo}.json\"}
  all: {rule: repositories, source: shelf, namespace: library, fresh: digest, output: all.json}
",
    );
    let images = sample::images();
    let of = |name: &str| images.iter().find(|(n, _)| n == name).expect("it ships").1.clone();
    project.layout("images", &[("library/redis:latest".into(), of("library/redis:latest"))]);
    project.build(&[]);
    std::fs::remove_dir_all(project.path("images")).expect("removed");
    let other = images.iter().find(|(n, _)| n.starts_with("library/alpine:")).expect("it ships").1.clone();
    project.layout("images", &[("library/redis:latest".into(), other.clone()), ("library/new:1".into(), other)]);
    project.build(&[]);
    assert_says(&project.explain("one"), &["(the tag moved from sha256:", " to sha256:"]);
    assert_says(&project.explain("all"), &["(came: library/new)"]);
}

#[test]
fn why_a_step_was_absent_is_told_as_long_as_its_record_says_so() {
    let project = absent();
    let build = project.build(&["tags"]);
    let why = build.step("tags@repo=library/redis").message.clone().expect("why");
    // It is to be asked again, and so it is stale.
    let explained = project.explain("tags");
    assert_says(&explained, &["tags@repo=library/redis: stale\n", &format!("Z: absent\n            {why}\n")]);
    let json = project.run(&["explain", "tags", "--format", "json"]).exits(exit::DONE).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json[0]["asked"]["absent"], why);
    // Kept as it is, it says so once.
    project.edit("fresh: digest, ", "");
    let explained = project.explain("tags");
    assert_says(&explained, &["tags@repo=library/redis: absent\n", &format!("says      {why}\n")]);
    assert_eq!(explained.matches(&why).count(), 1, "{explained}");
    project.edit("path: images", "path: others");
    project.layout("others", &sample::images());
    project.build(&["tags", "--refresh"]);
    let explained = project.explain("tags");
    assert!(explained.contains("Z: answered\n") && !explained.contains(&format!("   {why}\n")), "{explained}");
}

#[test]
fn what_goes_with_what_it_reads_and_comes_back_with_it_was_absent_and_not_never_made() {
    let project = Project::new(
        "version: 1
sources: {shelf: {kind: oci-layout, path: images}}
targets:
  tags: {rule: tags, source: shelf, foreach: {repo: [library/redis]}, output: \"tags/{repo}.json\"}
  one: {rule: command, inputs: [tags/library/redis.json], run: \"cp {in} {out}\", cache: false, output: one.json}
  two: {rule: command, inputs: [one], run: \"wc -c < {in} > {out}\", output: two.txt}
",
    );
    shelve(&project, |_| true);
    assert_eq!(project.build(&[]).built, 3);
    let made = |explained: &str| explained.lines().find(|line| line.contains("made at")).map(str::to_owned);
    let before = made(&project.explain("one")).expect("made");
    for _ in 0..2 {
        shelve(&project, |name| !name.starts_with("library/redis:"));
        for _ in 0..2 {
            assert_eq!(project.build(&["--refresh"]).absent, 3);
            assert!(!project.exists("one.json") && !project.exists("two.txt"));
        }
        let explained = project.explain("one");
        assert_says(&explained, &["one: absent\n", "says      tags@repo=library/redis is absent\n", "last made "]);
        assert!(!explained.contains("asked at") && !explained.contains("key "), "{explained}");
        shelve(&project, |_| true);
        let back = project.run(&["build", "--refresh", "-v"]).exits(exit::DONE).stderr;
        let [one, two] =
            ["tags@repo=library/redis", "one"].map(|of| format!("(was absent: so was {of}, which it reads"));
        assert_says(&back, &[&format!("built one {one}"), &format!("restored two {two}")]);
        project.plan(&[]).assert_nothing_done();
    }
    shelve(&project, |name| !name.starts_with("library/redis:"));
    project.build(&["--refresh"]);
    assert!(made(&project.explain("one")).is_some_and(|now| now >= before));
    let listed = project.run(&["clean", "--orphans", "-n"]).exits(exit::DONE).stdout;
    assert!(!listed.contains("one.json"), "{listed}");
}

#[test]
fn an_absence_that_stays_is_no_changed_answer_in_whatever_words_it_is_told() {
    let project = absent();
    let busybox = |name: &str| name.starts_with("library/busybox:");
    shelve(&project, busybox);
    project.build(&["tags"]);
    shelve(&project, |name| busybox(name) || name.starts_with("library/alpine:"));
    let report = project.build(&["tags"]);
    assert_eq!(report.step("tags@repo=library/redis").reason(), "freshness: asked each time (digest)");
    let told = project.explain("tags");
    assert_says(&told, &[": still absent\n", "it has library/alpine, library/busybox\n", "Z: first build\n"]);
}

#[test]
fn an_absent_step_that_is_gone_through_again_tells_why_and_since_when_it_is_absent() {
    let project = Project::new(
        "version: 1
sources: {shelf: {kind: oci-layout, path: images}}
targets:
  tags: {rule: tags, source: shelf, foreach: {repo: [library/nginx]}, only: [latest], output: \"tags/{repo}.json\"}
  layers: {rule: layers, source: shelf, platform: linux/s390x, foreach: {tag: {from: tags, select: all}}, output: \"l/{repo}/{tag}.json\"}
",
    );
    shelve(&project, |_| true);
    project.build(&[]);
    let since = |told: &str| told.lines().find(|line| line.starts_with("  absent    since 20")).map(str::to_owned);
    let first = since(&project.explain("layers")).expect("it is absent");
    assert!(first.ends_with("Z: first build"), "{first}");
    for (old, new) in [("platform:", "ids: docker, platform:"), ("ids: docker", "ids: shared")] {
        project.edit(old, new);
        project.build(&[]);
        let told = project.explain("layers");
        assert_eq!(since(&told), Some(first.clone()), "{told}");
        let again: Vec<&str> =
            told.lines().filter(|line| line.starts_with("            gone through again at 20")).collect();
        assert!(matches!(again[..], [line] if line.contains("Z: changed parameter: ids, from ")), "{told}");
        assert!(told.contains("it was asked because: first build\n"), "{told}");
    }
}

#[test]
fn an_absent_step_whose_outputs_come_to_be_one_is_no_first_build_once_there_is_what_it_reads() {
    let project = absent();
    project.edit(
        "run: \"cp {in} {out}\", output: \"copy/{repo}.json\"",
        "run: \"for o in {out}; do cp {in} $o; done\", output: [\"one/{repo}.json\", \"copy/{repo}.json\"]",
    );
    shelve(&project, |_| true);
    project.build(&[]);
    shelve(&project, |name| !name.starts_with("library/redis:"));
    assert_eq!(project.build(&[]).absent, 2);
    project.edit("[\"one/{repo}.json\", \"copy/{repo}.json\"]", "[\"copy/{repo}.json\"]");
    assert_eq!(project.build(&[]).absent, 2);
    shelve(&project, |_| true);
    project.build(&["tags"]);
    let cause = "was absent: so was tags@repo=library/redis, which it reads";
    let told = project.explain("copy");
    assert!(told.contains(cause) && !told.contains("because   first") && !told.contains("parameter: inputs"), "{told}");
    let build = project.run(&["build", "-v"]).exits(exit::DONE);
    assert_says(&build.stderr, &["built copy@repo=library/redis (", cause]);
}

#[test]
fn what_reads_an_absent_step_is_absent_whatever_else_it_reads_fails() {
    let project = absent();
    project.write("mood.txt", "good\n");
    project.edit("inputs: [tags]", "inputs: [other, tags]");
    let other = "  other: {rule: command, inputs: [mood.txt], run: \"grep good {in} > {out}\", output: other.txt}\n";
    project.write("pipeline.yaml", project.read("pipeline.yaml") + other);
    project.build(&[]);
    project.write("mood.txt", "bad\n");
    assert_says(&project.run(&["plan"]).exits(exit::DONE).stdout, &["absent   copy@repo=library/redis"]);
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.failed, report.blocked, report.absent), (1, 0, 2), "{}", report.listing());
}

#[test]
fn status_counts_what_would_be_asked_and_run_by_hand() {
    let project = absent();
    shelve(&project, |_| true);
    project.edit("fresh: digest, ", "");
    project.build(&[]);
    let counts = |arguments: &[&str], target: &str| {
        let status = project.run(&[&["status"], arguments].concat()).exits(exit::DONE).stdout;
        let row = status.lines().find(|line| line.starts_with(target)).expect("a row").to_owned();
        row.split_whitespace().skip(1).take(2).map(str::to_owned).collect::<Vec<_>>()
    };
    let (current, stale) = (["1", "0"], ["0", "1"]);
    assert_eq!(
        (counts(&[], "tags"), counts(&[], "copy")),
        (current.map(str::to_owned).into(), current.map(str::to_owned).into())
    );
    for (flag, target, other) in
        [("--refresh", "tags", "tags"), ("--refresh=tags", "tags", "tags"), ("--force=copy", "copy", "tags")]
    {
        assert_eq!(counts(&[flag], target), stale, "{flag}");
        assert_eq!(counts(&[flag], other), if other == target { stale } else { current }, "{flag}");
    }
}
