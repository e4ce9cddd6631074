//! Lists of repositories as an axis: of a namespace, of a search; and as a rule.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use crate::support::fault::{self, Server, Shelf};
use crate::support::hub::Hub;
use crate::support::images::Format;
use crate::support::project::{Project, walk};
use crate::support::stock;
use crate::support::words::exit;

/// A pipeline over the Hub with this axis for `repo`.
fn project(api: &str, registry: &str, keys: &str, axis: &str) -> Project {
    Project::new(&format!(
        "version: 1
sources:
  hub: {{kind: dockerhub, api: \"{api}\", registry: \"{registry}\", credentials: none{keys}}}
targets:
  get_tag:
    rule: tags
    source: hub
    foreach: {{repo: {axis}}}
    output: result/tags/{{repo}}.json
    retries: 0
"
    ))
}

/// A Hub with these repositories, each with a tag.
fn hub<'a>(names: impl IntoIterator<Item = &'a str>) -> Hub {
    let digest = stock::busybox().manifest(Format::Oci).digest().to_owned();
    let mut hub = Hub::default();
    names.into_iter().for_each(|name| hub.put(name, "latest", Some(&digest)));
    hub
}

fn no_registry() -> Server {
    Server::of(Shelf::default())
}

/// The repositories whose tag files are there.
fn made(project: &Project) -> Vec<String> {
    let mut names = Vec::new();
    let root = project.path("result/tags");
    if !root.exists() {
        return names;
    }
    walk(&root, &mut |path| {
        if let Ok(path) = path.strip_prefix(&root)
            && let Some(name) = path.to_str().and_then(|path| path.strip_suffix(".json"))
        {
            names.push(name.to_owned());
        }
    });
    names.sort();
    names
}

#[test]
fn a_namespace_gives_a_step_for_each_of_its_repositories() {
    let hub = hub(["bitnami/redis", "bitnami/nginx", "bitnami/../../x", "bitnami/A", "other/x"]).serve();
    let registry = no_registry();
    let project = project(&hub.url(), &registry.url(), "", "{namespace: bitnami}");
    let plan = project.plan(&[]);
    assert_eq!(plan.names(), ["get_tag.repo"], "what comes of it is not known yet");
    let report = project.build(&[]);
    assert_eq!(made(&project), ["bitnami/nginx", "bitnami/redis"]);
    assert_eq!(
        project.json(".layermill/axes/hub/namespace=bitnami.json"),
        json!(["bitnami/nginx", "bitnami/redis"]),
        "sorted"
    );
    let note = "2 repositories left out: `bitnami/../../x` (not a name by the grammar of repositories), `bitnami/A`";
    assert!(report.stderr.contains(note), "{}", report.stderr);
    let lists = hub.seen().into_iter().filter(|r| r.path.ends_with("/repositories")).collect::<Vec<_>>();
    assert_eq!((lists.len(), lists[0].param("page_size"), lists[0].param("ordering")), (1, "100", "name"));
    project.build(&[]).assert_nothing_done();
    assert!(project.explain("get_tag.repo").contains("up to date"));
}

#[test]
fn what_is_new_in_a_namespace_is_built_when_it_is_asked_for_again() {
    let asked = AtomicUsize::new(0);
    let (before, after) = (hub(["o/a"]), hub(["o/a", "o/b"]));
    let hub = Server::start(move |request| {
        let is_list = request.path.ends_with("/repositories");
        let turn = asked.fetch_add(usize::from(is_list), Ordering::SeqCst);
        if turn == 0 || turn == 1 && !is_list { before.answer(request) } else { after.answer(request) }
    });
    let registry = no_registry();
    let project = project(&hub.url(), &registry.url(), "", "{namespace: o}");
    project.build(&[]);
    project.build(&[]).assert_nothing_done();
    assert_eq!(made(&project), ["o/a"]);
    // As long as it is not asked for again, and offline, the list is what it was.
    project.build(&["--offline"]).assert_nothing_done();
    project.build(&["--refresh=get_tag.repo"]).assert_only(&["get_tag.repo", "get_tag@repo=o/b"]);
    project.edit("    retries: 0\n", "    retries: 0\n    fresh: always\n");
    let lists = || hub.seen().iter().filter(|r| r.path.ends_with("/repositories")).count();
    let before = lists();
    project.build(&[]);
    assert_eq!(lists(), before + 1, "it is as fresh as its target wants");
}

#[test]
fn targets_that_ask_for_the_same_list_share_it() {
    let hub = hub(["o/a", "o/b", "p/c"]).serve();
    let registry = no_registry();
    let project = project(&hub.url(), &registry.url(), "", "{namespace: [o, p]}");
    let more = "  count:
    rule: command
    foreach: {repo: {namespace: [o, p], source: hub}}
    inputs: [get_tag]
    run: \"grep -c : {in} > {out}\"
    output: result/count/{repo}.txt
";
    project.write("pipeline.yaml", project.read("pipeline.yaml") + more);
    let report = project.build(&["count"]);
    assert_eq!((report.of("count").len(), report.failed), (3, 0), "{}", report.listing());
    assert_eq!(hub.seen().iter().filter(|r| r.path.ends_with("/repositories")).count(), 2, "one a namespace");
    assert_eq!(project.read("result/count/p/c.txt"), "1\n");
}

#[test]
fn a_namespace_that_is_not_there_is_absent() {
    let hub = hub(["o/a"]).serve();
    let registry = no_registry();
    let project = project(&hub.url(), &registry.url(), "", "{namespace: none}");
    let report = project.build(&[]);
    assert_eq!((report.absent, report.failed, made(&project).len()), (1, 0, 0), "{}", report.listing());
    project.edit("    retries: 0\n", "    retries: 0\n    missing: error\n");
    let report = project.build_exits(exit::FAILED, &[]);
    assert!(report.stderr.contains("has no namespace none"), "{}", report.stderr);
}

fn names(count: usize) -> Vec<String> {
    (0..count).map(|i| format!("big/r{i:03}")).collect()
}

#[test]
fn a_list_that_ends_at_a_wall_is_not_taken_for_the_whole() {
    let names = names(250);
    let mut hub = hub(names.iter().map(String::as_str));
    hub.wall = Some(100);
    let (hub, registry) = (hub.serve(), no_registry());
    let project = project(&hub.url(), &registry.url(), "", "{namespace: big}");
    let report = project.build_exits(exit::FAILED, &[]);
    assert!(report.stderr.contains("shows the first 100 of the 250 repositories of big to anonymous clients"));
    assert!(report.stderr.contains("say `username:` and `password:`"), "{}", report.stderr);
    assert!(made(&project).is_empty());
}

#[test]
fn with_a_login_the_list_goes_on_past_the_wall() {
    const PASSWORD: &str = "dckr_pat_Xy7-secret";
    let names = names(250);
    let mut hub = hub(names.iter().map(String::as_str));
    (hub.wall, hub.account) = (Some(100), Some(("me", PASSWORD)));
    let (hub, registry) = (hub.serve(), no_registry());
    let login = ", username: me, password: \"${secret.HUB}\"";
    let project = project(&hub.url(), &registry.url(), login, "{namespace: big}");
    let build = |password: &str, refresh: &[&str]| {
        let mut command = project.command(&[&["build"], refresh].concat());
        command.env("HUB", password).output().expect("it runs")
    };
    let refused = build("wrong-3Qz", &[]);
    let stderr = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(exit::FAILED) && stderr.contains("refuses the login"), "{stderr}");
    assert!(!stderr.contains("wrong-3Qz"), "{stderr}");
    assert_eq!(build(PASSWORD, &[]).status.code(), Some(exit::DONE));
    assert_eq!(made(&project).len(), 250);
    let lists: Vec<_> = hub.seen().into_iter().filter(|r| r.path.ends_with("/repositories")).collect();
    let logins = hub.count("/v2/auth/token");
    assert_eq!((lists.len(), logins), (2 + 2 + 3, 2), "with the login, the list is begun again");
    let told = |r: &fault::Seen| !r.header("authorization").is_empty();
    assert_eq!(hub.seen().iter().filter(|r| told(r)).count(), 3);
    assert!(registry.seen().iter().all(|r| !told(r)));
    walk(&project.path("."), &mut |path| {
        let text = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
        assert!(!text.contains(PASSWORD) && !text.contains("eyJ0b2tlbiI6MX0"), "{}", path.display());
    });
}

#[test]
fn a_login_that_is_refused_is_not_tried_again_for_each_list() {
    let mut names = names(150);
    names.extend((0..150).map(|i| format!("other/r{i:03}")));
    let mut hub = hub(names.iter().map(String::as_str));
    (hub.wall, hub.account) = (Some(100), Some(("me", "right")));
    let (hub, registry) = (hub.serve(), no_registry());
    let login = ", username: me, password: wrong";
    let project = project(&hub.url(), &registry.url(), login, "{namespace: big}");
    let text = project.read("pipeline.yaml");
    let other = text.split_once("  get_tag:").expect("a target").1.replace("namespace: big", "namespace: other");
    project.write("pipeline.yaml", format!("{text}  get_other:{}", other.replace("result/", "result/other/")));
    let report = project.build_exits(exit::FAILED, &[]);
    assert_eq!((report.failed, hub.count("/v2/auth/token")), (2, 1), "{}", report.listing());
}

#[test]
fn a_login_that_docker_keeps_is_used_past_the_wall() {
    let names = names(150);
    let mut hub = hub(names.iter().map(String::as_str));
    (hub.wall, hub.account) = (Some(100), Some(("me", "pw1")));
    let (hub, registry) = (hub.serve(), no_registry());
    let project = project(&hub.url(), &registry.url(), "", "{namespace: big}");
    let logins = json!({"auths": {registry.address().to_string(): {"auth": "bWU6cHcx"}}});
    let folder = project.around().join("home/.docker");
    std::fs::create_dir_all(&folder).expect("created");
    std::fs::write(folder.join("config.json"), logins.to_string()).expect("written");
    project.build_exits(exit::FAILED, &[]);
    assert_eq!(hub.count("/v2/auth/token"), 0, "`credentials: none`");
    project.edit(", credentials: none", "");
    project.build(&[]);
    assert_eq!(made(&project).len(), 150);
}

#[test]
fn a_search_gives_the_first_that_it_finds() {
    let hub = hub(["a/nginx", "b/nginx", "library/nginx", "x/other", "z/nginx"]).serve();
    let registry = no_registry();
    let project = project(&hub.url(), &registry.url(), "", "{search: nginx}");
    project.build(&[]);
    assert_eq!(made(&project), ["a/nginx", "b/nginx", "library/nginx", "z/nginx"]);
    project.edit("{search: nginx}", "{search: nginx, limit: 3}");
    let report = project.build(&[]);
    let list = project.json(".layermill/axes/hub/search=nginx,limit=3.json");
    assert_eq!(list, json!(["a/nginx", "b/nginx", "library/nginx"]), "bare names are of the library");
    assert!(report.stderr.contains("of 4 repositories that were found for `nginx`, 3 were taken"), "{}", report.stderr);
    project.edit("limit: 3", "limit: 1");
    let report = project.build(&[]);
    assert!(report.stderr.contains("of 4 repositories that were found for `nginx`, 1 was taken"), "{}", report.stderr);
}

#[test]
fn pages_of_a_search_are_turned_up_to_its_limit() {
    let names = names(450);
    let hub = hub(names.iter().map(String::as_str)).serve();
    let registry = no_registry();
    let project = project(&hub.url(), &registry.url(), "", "{search: big, limit: 250}");
    project.build(&["get_tag.repo"]);
    assert_eq!(hub.count("/v2/search/"), 3);
    project.edit("big, limit: 250", "no%20thing");
    project.build(&[]);
    assert_eq!(project.json(".layermill/axes/hub/search=no%2520thing.json"), json!([]));
}

#[test]
fn pages_that_lie_fail_the_step() {
    let elsewhere = no_registry();
    let away = format!("{}/v2/namespaces/o/repositories?page=2", elsewhere.url());
    let page = |next: &str| json!({"count": 1, "next": next, "results": [{"name": "x"}]});
    let answers = [
        (page(&away), "leads elsewhere"),
        (page("?ordering=name&page_size=100"), "circle"),
        (json!({"detail": "maintenance"}), "expected a list of repositories"),
        (json!({"count": 1, "results": [{"name": 7}]}), "expected a list of repositories"),
    ];
    for (answer, says) in answers {
        let hub = Server::start(move |_| fault::json(StatusCode::OK, &answer));
        let project = project(&hub.url(), &elsewhere.url(), "", "{namespace: o}");
        let report = project.build_exits(exit::FAILED, &[]);
        assert!(report.stderr.contains(says), "{says}: {}", report.stderr);
    }
    assert_eq!(elsewhere.seen().len(), 0);
}

/// A Hub whose first answers are these.
fn at_first(hub: Hub, times: usize, answer: fn() -> Response) -> Server {
    let asked = AtomicUsize::new(0);
    Server::start(move |request| match asked.fetch_add(1, Ordering::SeqCst) {
        n if n < times => answer(),
        _ => hub.answer(request),
    })
}

#[test]
fn a_limit_of_the_hubs_api_puts_its_steps_off_until_it_says() {
    let limits: [fn() -> Response; 4] = [
        || fault::reply(StatusCode::TOO_MANY_REQUESTS, &[("X-RateLimit-Remaining", "0"), ("Retry-After", "30")], ""),
        // Its time, in seconds since 1970, as the API said it once.
        || {
            fault::reply(
                StatusCode::TOO_MANY_REQUESTS,
                &[("X-RateLimit-Limit", "180"), ("X-Retry-After", "9999999999")],
                "",
            )
        },
        || fault::reply(StatusCode::TOO_MANY_REQUESTS, &[("X-Retry-After", "3600")], ""),
        || fault::reply(StatusCode::TOO_MANY_REQUESTS, &[], "Too Many Requests"),
    ];
    for limit in limits {
        let hub = at_first(hub(["o/a", "o/b"]), 1, limit);
        let registry = no_registry();
        let project = project(&hub.url(), &registry.url(), "", "{namespace: o}");
        let report = project.build_exits(exit::DEFERRED, &[]);
        // The list, and the target whose steps are read out of it.
        assert_eq!((report.failed, report.deferred), (0, 2), "{}", report.listing());
        assert_eq!(hub.seen().len(), 1);
        assert_eq!(project.build(&[]).of("get_tag").len(), 2, "the next run goes on");
    }
}

#[test]
fn a_limit_of_the_moment_is_waited_for() {
    for header in ["Retry-After", "X-Retry-After"] {
        let answer: fn() -> Response = match header {
            "Retry-After" => || fault::reply(StatusCode::TOO_MANY_REQUESTS, &[("Retry-After", "2")], ""),
            _ => || fault::reply(StatusCode::TOO_MANY_REQUESTS, &[("X-Retry-After", "2")], ""),
        };
        let hub = at_first(hub(["o/a"]), 1, answer);
        let registry = no_registry();
        let project = project(&hub.url(), &registry.url(), "", "{namespace: o}");
        project.edit("retries: 0", "retries: 1");
        let started = Instant::now();
        project.build(&[]);
        assert!(started.elapsed() >= Duration::from_secs(2), "{header}");
    }
}

#[test]
fn a_build_waits_for_the_hubs_api_where_it_is_told_to() {
    let limit =
        || fault::reply(StatusCode::TOO_MANY_REQUESTS, &[("X-RateLimit-Remaining", "0"), ("Retry-After", "1")], "");
    let hub = at_first(hub(["o/a"]), 1, limit);
    let registry = no_registry();
    let project = project(&hub.url(), &registry.url(), "", "{namespace: o}");
    let report = project.build(&["--wait-budget"]);
    assert_eq!((report.deferred, made(&project).len()), (0, 1));
}

#[test]
fn a_build_that_waits_does_not_ask_on_and_on() {
    let hub = at_first(hub(["o/a"]), usize::MAX, || fault::reply(StatusCode::TOO_MANY_REQUESTS, &[], ""));
    let registry = no_registry();
    let project = project(&hub.url(), &registry.url(), "", "{namespace: o}");
    let mut running = project.start(&["build", "--wait-budget"]);
    running.until("the first request", |_| (!hub.seen().is_empty()).then_some(()));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(hub.seen().len(), 1);
    running.signal(rustix::process::Signal::INT);
    running.wait().exits(exit::INTERRUPTED);
}

#[test]
fn a_count_that_the_list_does_not_reach_is_told() {
    let registry = no_registry();
    for (names, listed) in [(&["a", "b"][..], "2 are"), (&["a"], "1 is")] {
        let results: Vec<_> = names.iter().map(|name| json!({"name": name})).collect();
        let page = json!({"count": 3, "next": null, "results": results});
        let hub = Server::start(move |_| fault::json(StatusCode::OK, &page));
        let project = project(&hub.url(), &registry.url(), "", "{namespace: o}");
        let report = project.build(&["get_tag.repo"]);
        let told = format!("`o` is said to have 3 repositories, and {listed} listed");
        assert!(report.stderr.contains(&told), "{}", report.stderr);
    }
}

/// The stock's pipeline with a namespace for its list.
fn over(source: &str) -> Project {
    let project = Project::new(&stock::pipeline_for("unused", &["x"]));
    project.edit("{kind: registry, url: \"unused\"}", source);
    project.edit("{repo: [x]}", "{repo: {namespace: library}}");
    project
}

#[test]
fn a_registry_lists_what_is_below_a_name() {
    let registry = stock::registry();
    registry.push("team/app:1", &stock::busybox().manifest(Format::Oci));
    registry.push("librarya/b:1", &stock::busybox().manifest(Format::Oci));
    let project = over(&format!("{{kind: registry, url: \"{}\"}}", registry.url()));
    project.build(&["get_tag"]);
    assert_eq!(made(&project), stock::REPOSITORIES);
    project.edit("namespace: library", "namespace: lib");
    assert_eq!(project.build(&["get_tag"]).absent, 1, "a part of a name is none");
    project.edit("namespace: lib", "search: lib");
    project.run(&["build"]).exits(exit::WRONG).says("`search` is not for this source");
}

#[test]
fn a_registry_that_does_not_list_fails_the_step() {
    let denied = Server::start(|request| match request.path.as_str() {
        "/token" => fault::json(StatusCode::OK, &json!({"token": "t", "expires_in": 300})),
        _ => fault::challenge(&format!(
            "Bearer realm=\"{}/token\",service=\"s\",scope=\"registry:catalog:*\"",
            request.server()
        )),
    });
    let missing = Server::start(|_| fault::not_found("UNSUPPORTED"));
    for (server, says) in
        [(&denied, "does not let us list its repositories"), (&missing, "does not list its repositories")]
    {
        let project = over(&format!("{{kind: registry, url: \"{}\", credentials: none}}", server.url()));
        let report = project.build_exits(exit::FAILED, &["get_tag"]);
        assert!(report.stderr.contains(says), "{}", report.stderr);
    }
    let asked = denied.seen().into_iter().find(|r| r.path == "/token").expect("a token");
    assert_eq!(asked.query, "service=s&scope=registry%3Acatalog%3A*");
}

#[test]
fn a_layout_lists_what_it_has() {
    let project = over("{kind: oci-layout, path: images}");
    let image = stock::busybox().manifest(Format::Oci);
    project.layout("images", &[("library/busybox:1".into(), image.clone()), ("other/x:1".into(), image)]);
    project.build(&["get_tag"]);
    assert_eq!(made(&project), ["library/busybox"]);
}

#[test]
fn the_rule_may_be_written_by_hand() {
    let hub = hub(["o/a", "p/b", "p/c"]).serve();
    let registry = no_registry();
    let project = project(&hub.url(), &registry.url(), "", "{from: list, json: \"\"}");
    let list = "  list:
    rule: repositories
    source: hub
    foreach: {owner: [o, p]}
    namespace: \"{owner}\"
    output: result/owners/{owner}.json
";
    project.write("pipeline.yaml", project.read("pipeline.yaml") + list);
    project.edit("result/tags/{repo}.json", "result/tags/{owner}+{repo}.json");
    project.build(&[]);
    assert_eq!(project.read("result/owners/p.json"), "[\n  \"p/b\",\n  \"p/c\"\n]\n");
    assert_eq!(made(&project), ["o+o/a", "p+p/b", "p+p/c"]);
}

#[test]
fn axes_that_are_wrong_are_marked() {
    let registry = no_registry();
    let cases = [
        ("{namespace: o, search: x}", "`namespace` and `search` in one axis"),
        ("{namespace: o, lines: x}", "`lines` beside `namespace`"),
        ("{limit: 3}", "`limit` without `namespace` or `search`"),
        ("{namespace: o, limit: 3}", "`limit` without `search`"),
        ("{namespace: \"${secret.X:-o}\"}", "a secret in the values of an axis"),
        ("{namespace: o, source: none}", "unknown source `none`"),
        ("{search: x, limit: 0}", "expected a whole number from 1 to 10000"),
    ];
    for (axis, says) in cases {
        let project = project(&registry.url(), &registry.url(), "", axis);
        let run = project.run(&["plan"]).exits(exit::WRONG).says(says);
        assert!(!run.stderr.contains("get_tag.repo"), "{}", run.stderr);
    }
    let project = project(&registry.url(), &registry.url(), "", "{namespace: o}");
    project.edit("rule: tags\n    source: hub\n", "rule: command\n    run: \"echo {repo} > {out}\"\n");
    project.run(&["plan"]).exits(exit::WRONG).says("`namespace` needs a source");
    let project = over("{kind: imagelayers, url: \"http://127.0.0.1:1\"}");
    project
        .run(&["plan"])
        .exits(exit::WRONG)
        .says("`namespace` is not for this source")
        .says("{repo: {namespace: library}}");
    let project = over("{kind: oci-layout, path: images}");
    project.edit("namespace: library", "namespace: Library");
    let report = project.build_exits(exit::FAILED, &["get_tag"]);
    assert!(report.stderr.contains("`Library` is not a namespace"), "{}", report.stderr);
    let project = over("{kind: oci-layout, path: images}");
    project.edit("output: result/tags/{repo}.json", "output: .layermill/axes/{repo}.json");
    project.run(&["plan"]).exits(exit::WRONG).says("layermill's own");
}
