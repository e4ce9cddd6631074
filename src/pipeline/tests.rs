//! Files as people write them, right and wrong.

use super::testing::*;
use super::*;

#[test]
fn the_example_of_the_design() {
    let p = good(EXAMPLE);
    let names: Vec<&str> = p.order.iter().map(|id| p.targets[*id].name.as_str()).collect();
    assert_eq!(names, ["get_tag", "get_layer_latest", "get_layer_all", "stat_layer", "biggest"]);
    assert_eq!(p.default, [3]);
    let layers = target(&p, "get_layer_latest");
    let bindings: Vec<_> = layers.bindings.iter().map(|b| (b.name.as_str(), b.parent)).collect();
    assert_eq!(bindings, [("repo", Some(0)), ("tag", None)]);
    assert_eq!(
        pattern::fill(&layers.outputs[0].pattern, &["library/nginx", "1.20"]),
        "result/layers/library/nginx/1.20.json"
    );
    assert!(matches!(&layers.axes[0].kind, AxisKind::From { target: 0, read: Read::Tags(Select::Latest) }));
    assert_eq!(layers.keys.get("source").and_then(Node::as_public).as_deref(), Some("sample"));
    assert!(
        matches!(&target(&p, "stat_layer").inputs[0].kind, InputKind::Target { target: 1, on, partial: false } if on.is_empty())
    );
    assert!(matches!(&target(&p, "get_tag").axes[0].kind, AxisKind::Lines(path) if path == "etc/image.lst"));
    assert_eq!(p.graph.edge_count(), 4);
}
