//! The two rules of strict schemas that every example confirms: all properties required, nothing additional; and
//! the keywords that strict mode never had.

use serde_json::Value;

const UNSUPPORTED: [&str; 7] = [
    "allOf",
    "not",
    "if",
    "then",
    "else",
    "dependentRequired",
    "patternProperties",
];

/// What is wrong with `schema`, in the vendor's words.
pub(crate) fn fault(schema: &Value) -> Option<String> {
    if schema["type"] != "object" {
        return Some("In context=(), schema must be a JSON Schema of 'type: \"object\"'.".into());
    }
    walk(schema, "()")
}

fn walk(schema: &Value, context: &str) -> Option<String> {
    let fields = schema.as_object()?;
    if let Some(keyword) = UNSUPPORTED.iter().find(|keyword| fields.contains_key(**keyword)) {
        return Some(format!("In context={context}, '{keyword}' is not permitted."));
    }
    if let Some(properties) = fields.get("properties").and_then(Value::as_object) {
        if fields.get("additionalProperties") != Some(&Value::Bool(false)) {
            return Some(format!(
                "In context={context}, 'additionalProperties' is required to be supplied and to be false."
            ));
        }
        let required: Vec<&str> = fields
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        if let Some(missing) = properties.keys().find(|name| !required.contains(&name.as_str())) {
            return Some(format!(
                "In context={context}, 'required' is required to be supplied and to be an array including every \
                 key in properties. Missing '{missing}'."
            ));
        }
        let inner = properties
            .iter()
            .find_map(|(name, inner)| walk(inner, &format!("('properties', '{name}')")));
        if inner.is_some() {
            return inner;
        }
    }
    if let Some(fault) = fields.get("items").and_then(|items| walk(items, "('items',)")) {
        return Some(fault);
    }
    let variants = fields
        .get("anyOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    let definitions = fields
        .get("$defs")
        .and_then(Value::as_object)
        .into_iter()
        .flat_map(|defs| defs.values());
    variants.chain(definitions).find_map(|inner| walk(inner, context))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_strict_schema_requires_every_property_and_forbids_all_others() {
        let sound = json!({"type": "object", "additionalProperties": false, "required": ["a"],
            "properties": {"a": {"type": ["string", "null"]}}});
        assert_eq!(fault(&sound), None);
        let mut open = sound.clone();
        open.as_object_mut().unwrap().remove("additionalProperties");
        assert!(fault(&open).unwrap().contains("additionalProperties"));
        let mut optional = sound.clone();
        optional["required"] = json!([]);
        assert!(fault(&optional).unwrap().contains("Missing 'a'"));
        let nested = json!({"type": "object", "additionalProperties": false, "required": ["a"],
            "properties": {"a": {"type": "array", "items": {"type": "object", "properties": {"b": {}}}}}});
        assert!(fault(&nested).is_some());
        assert!(
            fault(&json!({"anyOf": [sound]})).is_some(),
            "the root must be an object"
        );
    }
}
