//! What a depfile names: a step whose command read what it must not leaves all as it was, and none is made of what has
//! changed since, whatever the times of files say.

use crate::support::project::Project;
use crate::support::words::exit;

fn project(targets: &str) -> Project {
    Project::new(&format!("version: 1\ntargets:\n{targets}"))
}

#[test]
fn a_step_that_fails_for_what_its_depfile_names_leaves_its_outputs_as_they_were() {
    for names in ["gen.h", "not-there.h"] {
        let p = project(
            r#"  g: {rule: command, run: "echo gen > {out}", output: gen.h}
  d: {rule: command, inputs: [./src], after: [g], run: 'cp {in} {out.a}; cp {in} {out.b}; echo "x: $(cat deps)" > {out.a}.d', depfile: "{out.a}.d", output: {a: out/a, b: out/b}}
"#,
        );
        p.write("src", "1\n");
        p.write("deps", names);
        p.build_exits(exit::FAILED, &[]);
        assert!(!p.exists("out/a") && !p.exists("out/b"), "{names}");
        assert!(p.explain("d").contains("because   first build\n"), "{}", p.explain("d"));

        p.write("deps", "src");
        p.build(&[]).assert_only(&["d"]);
        p.write("src", "2\n");
        p.write("deps", names);
        p.build_exits(exit::FAILED, &[]);
        assert_eq!((p.read("out/a"), p.read("out/b")), ("1\n".into(), "1\n".into()), "{names}");
        let why = p.explain("d");
        assert!(why.contains("changed input: src") && !why.contains("changed output"), "{why}");
        p.run(&["verify"]).exits(exit::DONE);
        p.write("src", "1\n");
        p.build(&[]).assert_nothing_done();
    }
}
