//! As much of JSON Schema as `docs/events.schema.json` uses; a word that is not known fails, so that nothing is passed over.

use serde_json::Value;

/// Says where a value does not keep to a schema.
pub fn check(schema: &Value, value: &Value) -> Result<(), String> {
    keeps(schema, schema, value)
}

fn keeps(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let rules = schema.as_object().ok_or("a schema is an object")?;
    for (word, rule) in rules {
        let wrong = || format!("{value} does not keep to {word}: {rule}");
        match word.as_str() {
            "$schema" | "$defs" | "title" | "description" | "format" | "required" | "additionalProperties" => {}
            "$ref" => {
                let pointer = rule.as_str().and_then(|r| r.strip_prefix('#')).ok_or("a reference within the file")?;
                keeps(root, root.pointer(pointer).ok_or("a reference to nothing")?, value)?;
            }
            "type" => type_of(rule, value).then_some(()).ok_or_else(wrong)?,
            "const" => (rule == value).then_some(()).ok_or_else(wrong)?,
            "enum" => rule.as_array().is_some_and(|all| all.contains(value)).then_some(()).ok_or_else(wrong)?,
            "minimum" => (value.as_f64() >= rule.as_f64()).then_some(()).ok_or_else(wrong)?,
            "items" => {
                value.as_array().ok_or_else(wrong)?.iter().try_for_each(|item| keeps(root, rule, item))?;
            }
            "properties" => properties(root, schema, value)?,
            "oneOf" => {
                let all = rule.as_array().ok_or("a list of schemas")?;
                let failed: Vec<String> = all.iter().filter_map(|one| keeps(root, one, value).err()).collect();
                if all.len() - failed.len() != 1 {
                    return Err(failed.join("\n"));
                }
            }
            other => return Err(format!("`{other}` is not known to this check")),
        }
    }
    Ok(())
}

fn properties(root: &Value, schema: &Value, value: &Value) -> Result<(), String> {
    let object = value.as_object().ok_or_else(|| format!("{value} is no object"))?;
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        object.get(name).ok_or_else(|| format!("`{name}` is missing"))?;
    }
    for (name, value) in object {
        match schema["properties"].get(name) {
            Some(rule) => keeps(root, rule, value).map_err(|e| format!("{name}: {e}"))?,
            None if schema["additionalProperties"] == false => return Err(format!("`{name}` is not in the schema")),
            None => {}
        }
    }
    Ok(())
}

fn type_of(rule: &Value, value: &Value) -> bool {
    match rule.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64() || value.is_u64(),
        Some("number") => value.is_number(),
        _ => false,
    }
}
