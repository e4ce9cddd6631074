use super::found::indented;
use super::ids::{Identity, docker_ids, shared_ids};
use super::*;
use crate::registry::image::tests::image;
use crate::store::Sha256;
use serde_json::json;

fn busybox() -> Image {
    image(
        &[700],
        &json!({"architecture": "amd64", "os": "linux", "docker_version": "20.10", "config": {"Cmd": ["sh"]},
        "rootfs": {"diff_ids": ["sha256:11"]}, "history": [
            {"created": "2016-03-18T18:22:48Z", "created_by": "ADD file:1 in /", "author": "A", "comment": "c"},
            {"created": "2016-03-18T18:22:49Z", "created_by": "CMD [\"sh\"]", "empty_layer": true}]}),
    )
}

#[test]
fn file_as_the_design_names_it() {
    let made = busybox();
    let text = String::from_utf8(render(&made, "library/busybox", "latest", Ids::Shared)).unwrap();
    let ids = shared_ids(&made.layers);
    let blob = &made.layers[0].files.as_ref().unwrap().digest;
    let expected = format!(
        r#"[
  {{
    "repo": {{
      "name": "library/busybox",
      "tag": "latest",
      "size": 700,
      "count": 2,
      "digest": "{}",
      "platform": "linux/amd64"
    }},
    "layers": [
      {{
        "id": "{}",
        "parent": "{}",
        "Comment": "",
        "created": "2016-03-18T18:22:49Z",
        "container": "",
        "container_config": {{
          "Cmd": [
            "CMD [\"sh\"]"
          ]
        }},
        "docker_version": "20.10",
        "author": "",
        "config": {{
          "Cmd": [
            "sh"
          ]
        }},
        "architecture": "amd64",
        "os": "linux",
        "Size": 0,
        "digest": "",
        "empty": true,
        "created_by": "CMD [\"sh\"]"
      }},
      {{
        "id": "{}",
        "parent": "",
        "Comment": "c",
        "created": "2016-03-18T18:22:48Z",
        "container": "",
        "container_config": {{
          "Cmd": [
            "ADD file:1 in /"
          ]
        }},
        "docker_version": "",
        "author": "A",
        "config": null,
        "architecture": "",
        "os": "",
        "Size": 700,
        "digest": "{blob}",
        "empty": false,
        "created_by": "ADD file:1 in /"
      }}
    ],
    "status": 200
  }}
]
"#,
        made.digest, ids[1], ids[0], ids[0],
    );
    assert_eq!(text, expected);
    let found = recognise(text.as_bytes(), "busybox", "latest").unwrap();
    assert_eq!(
        found,
        Recognised {
            digest: Some(made.digest),
            platform: Some("linux/amd64".into()),
            is_unpacked: false,
            ids: Some(Ids::Shared),
            compressed: Vec::new()
        }
    );
}

#[test]
fn shared_id_is_the_hash_of_this_text() {
    let text = r#"{"author":"A","comment":"c","created":"2016-03-18T18:22:48Z","created_by":"ADD file:1 in /","empty":false,"layer":"sha256:11","parent":""}"#;
    assert_eq!(shared_ids(&busybox().layers)[0], Sha256::of(text.as_bytes()).hex());
}

#[test]
fn strings_are_escaped_as_rfc_8785_says() {
    let text = |created_by| {
        let identity =
            Identity { author: "", comment: "", created: "", created_by, empty: true, layer: "", parent: "" };
        serde_json::to_string(&identity).unwrap()
    };
    // RFC 8785, 3.2.2.2 and the example of 3.2.2.
    assert!(text("\u{20ac}$\u{f}\nA'B\"\\\\\"/").contains("\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\""));
    assert!(text("\u{8}\t\n\u{c}\r").contains(r#""\b\t\n\f\r""#));
    assert!(text("\u{0}\u{1f}\u{7f}\u{2028}<é😀").contains("\"\\u0000\\u001f\u{7f}\u{2028}<é😀\""));
}

#[test]
fn a_base_shares_its_ids_with_what_is_built_on_it() {
    let history = |n: usize| (0..n).map(|i| json!({"created_by": format!("step {i}")})).collect::<Vec<_>>();
    let config = |n: usize| {
        let diff_ids: Vec<_> = (0..n).map(|i| format!("sha256:{i}")).collect();
        json!({"history": history(n), "rootfs": {"diff_ids": diff_ids}, "config": {"n": n}})
    };
    let base = image(&[1, 2], &config(2));
    let derived = image(&[1, 2, 3], &config(3));
    assert_eq!(shared_ids(&base.layers)[..], shared_ids(&derived.layers)[..2]);
    assert_ne!(docker_ids(&base)[1], docker_ids(&derived)[1], "Docker's recipe hides it");
    assert_eq!(docker_ids(&base)[0], docker_ids(&derived)[0]);
}

#[test]
fn a_file_of_more_than_one_layer_tells_of_which_kind_its_ids_are() {
    let told = |image: &Image, ids: Ids| recognise(&render(image, "x", "1", ids), "x", "1").unwrap().ids;
    let with_empty = image(&[1, 2], &json!({"history": [{}, {"empty_layer": true}, {}, {"empty_layer": true}]}));
    for image in [&busybox(), &image(&[1, 2, 3], &json!({})), &with_empty] {
        assert_eq!([Ids::Shared, Ids::Docker].map(|ids| told(image, ids)), [Some(Ids::Shared), Some(Ids::Docker)]);
    }
    assert_eq!([Ids::Shared, Ids::Docker].map(|ids| told(&image(&[1], &json!({})), ids)), [None, None]);
}

#[test]
fn what_a_server_answers_becomes_a_file_of_our_form() {
    let pretty = render(&busybox(), "busybox", "1", Ids::Docker);
    let image = busybox();
    let compact = serde_json::to_vec(&[analysis(&image, "busybox", "1", &Ids::Docker.of(&image))]).unwrap();
    assert_eq!(analyzed(&compact, "library/busybox", "1"), Ok(Analyzed::Found(pretty.clone())));
    assert_eq!(analyzed(&pretty, "library/busybox", "1"), Ok(Analyzed::Found(pretty)));
    let odd = br#" { "a" : [ ] , "b":{},"c": "x\\\"{[:,\\",
            "d":[1.50,-2e3, null]} "#;
    let expected = "{\n  \"a\": [],\n  \"b\": {},\n  \"c\": \"x\\\\\\\"{[:,\\\\\",\n  \"d\": [\n    1.50,\n    \
                    -2e3,\n    null\n  ]\n}\n";
    assert_eq!(String::from_utf8(indented(odd)).unwrap(), expected);
}

#[test]
fn what_a_server_has_not_is_told_from_what_it_cannot_say() {
    let repo = r#""repo":{"name":"x","tag":"1","size":0,"count":0}"#;
    let read = |rest: &str| analyzed(format!("[{{{repo},{rest}}}]").as_bytes(), "x", "1");
    assert_eq!(read(r#""layers":null,"status":404"#), Ok(Analyzed::Missing));
    assert_eq!(read(r#""layers":[]"#), Ok(Analyzed::Missing));
    assert_eq!(read(r#""layers":null,"status":500"#).unwrap_err(), "unexpected status 500 of x:1");
    assert!(read(r#""layers":null,"status":200"#).unwrap_err().contains("something else"));
    assert!(analyzed(b"[]", "x", "1").unwrap_err().contains("something else"));
    assert!(analyzed(b"<html>", "x", "1").unwrap_err().contains("not JSON"));
    assert!(analyzed(&[b'['; 100_000], "x", "1").is_err());
}

#[test]
fn seed_files_are_recognised_and_broken_ones_are_not() {
    let seed = |name: &str, layers: &str| {
        format!(
            r#"[{{"repo":{{"name":"{name}","tag":"1.24","size":1112820,"count":1}},"layers":{layers},"status":200}}]"#
        )
    };
    let file = seed("busybox", r#"[{"id":"bc74","parent":"","Comment":"","Size":0}]"#);
    let found = recognise(file.as_bytes(), "library/busybox", "1.24");
    assert_eq!(
        found,
        Ok(Recognised { digest: None, platform: None, is_unpacked: true, ids: None, compressed: Vec::new() })
    );
    let other = |name: &str, tag: &str| recognise(file.as_bytes(), name, tag).unwrap_err();
    assert_eq!(other("library/busybox", "1.25"), "is of busybox:1.24");
    assert_eq!(other("library/nginx", "1.24"), "is of busybox:1.24");
    for broken in ["", "not json", "<html>", "[]", "{}", &seed("busybox", "null"), &seed("busybox", "[]")] {
        assert!(recognise(broken.as_bytes(), "library/busybox", "1.24").is_err(), "{broken}");
    }
}
