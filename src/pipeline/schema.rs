//! The JSON Schema of pipeline files, made from the shapes that the check uses: what editors complete is what the
//! check takes.

use serde_json::{Map, Value, json};

use super::keys;
use super::shape::{Key, Kind, Shape, Vocabulary};

const NAME: &str = "^[A-Za-z_][A-Za-z0-9_-]*$";
const DURATION: &str = "^([0-9]+(ms|s|m|h|d|w))+$";
/// Text that is another one once its variables are replaced: what it will be, no schema can tell.
const VARIABLE: &str = r"\$\{";

/// The schema (draft 2020-12) of pipeline files with these rules and kinds of sources.
pub fn schema(vocabulary: &Vocabulary) -> Value {
    let mut top = record(&[keys::TOP]);
    let names = json!({"pattern": NAME});
    for (key, entry) in [
        ("sources", tagged(keys::SOURCE, "kind", vocabulary.sources, true)),
        ("targets", tagged(keys::TARGET, "rule", vocabulary.rules, false)),
    ] {
        let property = &mut top["properties"][key];
        property["additionalProperties"] = entry;
        property["propertyNames"] = names.clone();
    }
    top["properties"]["targets"]["minProperties"] = json!(1);
    top["properties"]["vars"]["propertyNames"] = names;
    top["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    top["title"] = json!("layermill pipeline");
    top
}

/// A mapping whose keys depend on the word under `tag`: those of all, and for each word its own.
fn tagged(common: &[Key], tag: &str, kinds: &[Kind], always: bool) -> Value {
    let mut out = record(&[common]);
    // Without the rest of this, the keys of a kind would be unknown to the list of the common ones.
    if let Some(object) = out.as_object_mut() {
        object.remove("additionalProperties");
    }
    out["unevaluatedProperties"] = json!(false);
    let words: Vec<Value> = kinds.iter().map(|k| json!({"const": k.name, "description": k.doc})).collect();
    out["properties"][tag] = json!({"oneOf": words, "description": doc(common, tag)});
    let mut cases: Vec<Value> = kinds
        .iter()
        .map(|kind| {
            let mut then = record(&[kind.keys]);
            if let Some(object) = then.as_object_mut() {
                object.remove("additionalProperties");
                object.remove("type");
            }
            json!({"if": {"properties": {tag: {"const": kind.name}}, "required": [tag]}, "then": then})
        })
        .collect();
    if !always {
        cases.push(json!({
            "if": {"required": [tag]},
            "then": {"required": ["output"]},
            "else": {"required": ["inputs"], "propertyNames": {"enum": keys::GROUP}},
        }));
    }
    out["allOf"] = json!(cases);
    out
}

fn doc(table: &[Key], name: &str) -> &'static str {
    table.iter().find(|k| k.name == name).map_or("", |k| k.doc)
}

fn record(tables: &[&[Key]]) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for key in tables.iter().copied().flatten() {
        let mut value = shape(&key.shape);
        value["description"] = json!(key.doc);
        properties.insert(key.name.into(), value);
        if key.required {
            required.push(key.name);
        }
    }
    let mut out = json!({"type": "object", "properties": properties, "additionalProperties": false});
    if !required.is_empty() {
        out["required"] = json!(required);
    }
    out
}

fn shape(shape: &Shape) -> Value {
    match shape {
        // A number or a truth value is text, too, as it is spelt.
        Shape::Text => json!({"type": ["string", "number", "boolean"]}),
        Shape::Word(words) => or_variable(json!({"enum": words})),
        Shape::Bool => or_variable(json!({"type": "boolean"})),
        Shape::Int(from, to) if from == to => json!({"const": from}),
        Shape::Int(from, to) => or_variable(json!({"type": "integer", "minimum": from, "maximum": to})),
        Shape::Duration => or_variable(json!({"type": "string", "pattern": DURATION})),
        Shape::Source | Shape::Target => json!({"type": "string"}),
        Shape::List(item) => json!({"type": "array", "items": self::shape(item)}),
        Shape::Map(value) => json!({"type": "object", "additionalProperties": self::shape(value)}),
        Shape::Record(keys) => record(&[keys]),
        Shape::Any(shapes) => json!({"anyOf": shapes.iter().map(self::shape).collect::<Vec<_>>()}),
    }
}

fn or_variable(value: Value) -> Value {
    json!({"anyOf": [value, {"type": "string", "pattern": VARIABLE}]})
}

#[cfg(test)]
mod tests {
    use super::super::testing::VOCABULARY;
    use super::*;

    #[test]
    fn every_key_of_every_rule_is_in_it() {
        let schema = schema(&VOCABULARY);
        let target = &schema["properties"]["targets"]["additionalProperties"];
        for key in keys::TARGET {
            assert!(target["properties"][key.name]["description"].is_string(), "{}", key.name);
        }
        for rule in VOCABULARY.rules {
            let cases = target["allOf"].as_array().unwrap();
            let case = cases.iter().find(|c| c["if"]["properties"]["rule"]["const"] == rule.name).unwrap();
            for key in rule.keys {
                assert!(case["then"]["properties"][key.name].is_object(), "{} {}", rule.name, key.name);
            }
        }
        let tags = &target["allOf"][0];
        assert_eq!(tags["then"]["required"], json!(["source"]));
        assert_eq!(schema["required"], json!(["version", "targets"]));
    }

    /// As much of JSON Schema as ours uses, to check that what the check takes the schema takes.
    fn fits(schema: &Value, value: &Value) -> bool {
        let is = |kind: &str| match kind {
            "string" => value.is_string(),
            "number" => value.is_number(),
            "integer" => value.is_u64(),
            "boolean" => value.is_boolean(),
            "array" => value.is_array(),
            _ => value.is_object(),
        };
        let each = |key: &str| schema[key].as_array().cloned().unwrap_or_default();
        let matches =
            |pattern: &Value, text: &str| regex::Regex::new(pattern.as_str().unwrap()).unwrap().is_match(text);
        let object = value.as_object();
        let known = |schema: &Value, name: &str| schema["properties"].get(name).is_some();
        let kind = match &schema["type"] {
            Value::String(kind) => is(kind),
            Value::Array(kinds) => kinds.iter().any(|k| is(k.as_str().unwrap())),
            _ => true,
        };
        let names = object.is_none_or(|o| {
            o.keys().all(|name| {
                let rule = &schema["propertyNames"];
                (rule["pattern"].is_null() || matches(&rule["pattern"], name))
                    && rule["enum"].as_array().is_none_or(|e| e.contains(&json!(name)))
            })
        });
        let values = object.is_none_or(|o| {
            o.iter().all(|(name, v)| match schema["properties"].get(name) {
                Some(property) => fits(property, v),
                None => match &schema["additionalProperties"] {
                    Value::Bool(false) => false,
                    Value::Object(_) => fits(&schema["additionalProperties"], v),
                    _ => {
                        schema["unevaluatedProperties"] != json!(false)
                            || each("allOf").iter().any(|c| fits(&c["if"], value) && known(&c["then"], name))
                    }
                },
            })
        });
        let cases = each("allOf").iter().all(|c| {
            let side = &c[if fits(&c["if"], value) { "then" } else { "else" }];
            side.is_null() || fits(side, value)
        });
        kind && names
            && values
            && cases
            && each("required").iter().all(|r| value.get(r.as_str().unwrap()).is_some())
            && schema["minimum"].as_u64().is_none_or(|least| value.as_u64().is_none_or(|n| n >= least))
            && (schema["const"].is_null() || schema["const"] == *value)
            && (schema["enum"].is_null() || each("enum").contains(value))
            && (schema["anyOf"].is_null() || each("anyOf").iter().any(|s| fits(s, value)))
            && (schema["oneOf"].is_null() || each("oneOf").iter().filter(|s| fits(s, value)).count() == 1)
            && (schema["items"].is_null()
                || value.as_array().is_none_or(|a| a.iter().all(|v| fits(&schema["items"], v))))
            && (schema["pattern"].is_null() || value.as_str().is_none_or(|t| matches(&schema["pattern"], t)))
    }

    fn takes(yaml: &str) -> bool {
        fits(&schema(&VOCABULARY), &serde_yaml::from_str::<Value>(yaml).unwrap())
    }

    #[test]
    fn it_takes_what_the_check_takes() {
        assert!(takes(super::super::testing::EXAMPLE));
        let target =
            |text: &str| format!("version: 1\nsources: {{s: {{kind: oci-layout, path: p}}}}\ntargets: {{t: {text}}}\n");
        let cases = [
            ("{rule: tags, source: s, output: o}", true),
            ("{rule: tags, source: s, output: o, fresh: 24h, retries: 3, cache: false, timeout: 90s}", true),
            ("{rule: tags, source: s, output: o, retries: '${n}'}", true),
            ("{rule: command, run: [a, 1, true], output: {a: x, b: y}}", true),
            ("{rule: command, run: x, output: [a, b], foreach: {v: [1.20, x]}}", true),
            ("{rule: stat, output: o, inputs: {a: {target: u, partial: true}, b: ./c}}", true),
            ("{inputs: [a, b]}", true),
            ("{rule: tags, output: o}", false),
            ("{rule: tags, source: s}", false),
            ("{rule: tagz, source: s, output: o}", false),
            ("{rule: stat, run: x, output: o}", false),
            ("{rule: stat, output: o, fresh: soon}", false),
            ("{rule: stat, output: o, retries: -1}", false),
            ("{rule: stat, output: o, foreach: {v: {from: x, select: {newest: 0}}}}", false),
            ("{inputs: [a], output: o}", false),
            ("{description: x}", false),
        ];
        for (text, expected) in cases {
            assert_eq!(takes(&target(text)), expected, "{text}");
        }
        assert!(!takes("version: 2\ntargets: {t: {inputs: [a]}}\n"));
        assert!(!takes("version: 1\ntargets: {}\nextra: 1\n"));
    }
}
