//! Holds a request against an OpenAPI document: path, query, body.

use jsonschema::Draft;
use serde_json::{Map, Value, json};
use wiremock::Request;

/// An OpenAPI document.
pub(crate) struct Spec {
    document: Value,
    /// Part of the path before the document's paths.
    mount: &'static str,
}

impl Spec {
    pub(crate) fn new(text: &str, mount: &'static str) -> Self {
        let mut document = serde_json::from_str(text).unwrap();
        nullable_to_type(&mut document);
        Self { document, mount }
    }

    /// Panics with everything that the request does against the document.
    #[track_caller]
    pub(crate) fn check(&self, request: &Request) {
        let name = format!("{} {}", request.method, request.url);
        let path = request
            .url
            .path()
            .strip_prefix(self.mount)
            .unwrap_or_else(|| panic!("{name}: not below the mount"));
        let method = request.method.as_str().to_lowercase();
        let operation = self
            .paths()
            .filter(|(template, _)| fits(template, path))
            .find_map(|(_, item)| item.get(&method).map(|operation| (item, operation)));
        let (item, operation) =
            operation.unwrap_or_else(|| panic!("{name}: the document has no such operation"));
        let mut faults = self.query(request, item, operation);
        faults.extend(self.body(request, operation));
        assert!(faults.is_empty(), "{name}:\n{}", faults.join("\n"));
    }

    fn paths(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.document["paths"].as_object().unwrap().iter()
    }

    fn resolve<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(pointer) => self.document.pointer(pointer.trim_start_matches('#')).unwrap(),
            None => value,
        }
    }

    fn query(&self, request: &Request, item: &Value, operation: &Value) -> Vec<String> {
        let declared: Vec<&Value> = [item, operation]
            .iter()
            .filter_map(|owner| owner.get("parameters").and_then(Value::as_array))
            .flatten()
            .map(|parameter| self.resolve(parameter))
            .filter(|parameter| parameter["in"] == "query")
            .collect();
        let sent: Vec<(String, String)> = request.url.query_pairs().into_owned().collect();
        let unknown = sent
            .iter()
            .filter(|(name, _)| {
                !declared
                    .iter()
                    .any(|parameter| parameter["name"] == name.as_str())
            })
            .map(|(name, _)| format!("query `{name}` is not declared"));
        let missing = declared
            .iter()
            .filter(|parameter| parameter["required"] == true)
            .filter(|parameter| !sent.iter().any(|(name, _)| parameter["name"] == name.as_str()))
            .map(|parameter| format!("query {} is missing", parameter["name"]));
        unknown.chain(missing).collect()
    }

    fn body(&self, request: &Request, operation: &Value) -> Vec<String> {
        let Some(declared) = operation.get("requestBody").map(|body| self.resolve(body)) else {
            return if request.body.is_empty() {
                vec![]
            } else {
                vec!["it has a body".to_owned()]
            };
        };
        let kind = request
            .headers
            .get("content-type")
            .and_then(|kind| kind.to_str().ok())
            .unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default();
        let Some(schema) = declared.pointer(&format!("/content/{}/schema", kind.replace('/', "~1"))) else {
            return vec![format!("content type `{kind}` is not declared")];
        };
        let shape = self.resolve(schema);
        let body = if kind == "application/json" {
            request.body_json().unwrap()
        } else {
            self.form(&request.body, shape)
        };
        let mut faults = undeclared(&body, shape);
        let mut whole = json!({ "components": self.document["components"], "allOf": [schema] });
        whole["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .build(&whole)
            .unwrap();
        faults.extend(
            validator
                .iter_errors(&body)
                .map(|error| format!("{}: {error}", error.instance_path())),
        );
        faults
    }

    /// A form as the object that its schema describes: numbers and flags read as such.
    fn form(&self, body: &[u8], shape: &Value) -> Value {
        let typed = |name: &str, text: String| {
            let kind = self.resolve(&shape["properties"][name])["type"].clone();
            if kind == "integer" || kind == "boolean" || kind == "number" {
                serde_json::from_str(&text).unwrap_or(Value::String(text))
            } else {
                Value::String(text)
            }
        };
        let pairs = url::form_urlencoded::parse(body).into_owned();
        let members: Map<String, Value> = pairs
            .map(|(name, text)| (name.clone(), typed(&name, text)))
            .collect();
        Value::Object(members)
    }
}

/// Names in `body` that the schema does not list; nothing where the schema is composed of others.
fn undeclared(body: &Value, shape: &Value) -> Vec<String> {
    let (Some(body), Some(properties)) = (body.as_object(), shape["properties"].as_object()) else {
        return vec![];
    };
    if shape.get("allOf").is_some() {
        return vec![];
    }
    let unknown = body.keys().filter(|name| !properties.contains_key(*name));
    unknown
        .map(|name| format!("member `{name}` is not declared"))
        .collect()
}

fn fits(template: &str, path: &str) -> bool {
    let (template, path): (Vec<_>, Vec<_>) = (template.split('/').collect(), path.split('/').collect());
    let same = |(template, part): (&&str, &&str)| match (template.find('{'), template.find('}')) {
        (Some(begin), Some(end)) => {
            part.len() > begin + template.len() - end - 1
                && part.starts_with(&template[..begin])
                && part.ends_with(&template[end + 1..])
        }
        _ => template == part,
    };
    template.len() == path.len() && template.iter().zip(&path).all(same)
}

/// OpenAPI 3.0 says `nullable: true` where JSON Schema adds `null` to the types.
fn nullable_to_type(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.get("nullable") == Some(&Value::Bool(true))
                && let Some(Value::String(kind)) = members.get("type")
            {
                let kinds = json!([kind, "null"]);
                members.insert("type".to_owned(), kinds);
            }
            members.values_mut().for_each(nullable_to_type);
        }
        Value::Array(items) => items.iter_mut().for_each(nullable_to_type),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(method: &str, path: &str, kind: &str, body: &str) -> Result<(), String> {
        let request = Request {
            url: format!("http://127.0.0.1{path}").parse().unwrap(),
            method: method.parse().unwrap(),
            headers: wiremock::http::HeaderMap::from_iter([(
                wiremock::http::HeaderName::from_static("content-type"),
                kind.parse().unwrap(),
            )]),
            body: body.as_bytes().to_vec(),
        };
        let spec = Spec::new(
            include_str!("../specs/microsoft-graph-v1.0-identity.json"),
            "/v1.0",
        );
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| spec.check(&request)))
            .map_err(|panic| panic.downcast_ref::<String>().cloned().unwrap_or_default())
    }

    #[test]
    fn the_validator_finds_what_is_wrong_with_a_request() {
        let at = "/v1.0/users/x/authentication/temporaryAccessPassMethods";
        let json = "application/json";
        assert_eq!(
            faults(
                "POST",
                at,
                json,
                r#"{"lifetimeInMinutes":60,"isUsableOnce":true}"#
            ),
            Ok(())
        );
        for (method, path, kind, body, expected) in [
            (
                "POST",
                at,
                json,
                r#"{"lifetimeInMinutes":"an hour"}"#,
                "lifetimeInMinutes",
            ),
            (
                "POST",
                at,
                json,
                r#"{"lifetime":60}"#,
                "`lifetime` is not declared",
            ),
            (
                "POST",
                at,
                "text/plain",
                "{}",
                "content type `text/plain` is not declared",
            ),
            ("PUT", at, json, "{}", "no such operation"),
            ("GET", "/v1.0/users/x/boss", json, "", "no such operation"),
            (
                "GET",
                "/v1.0/users/x?$nonsense=1",
                json,
                "",
                "query `$nonsense` is not declared",
            ),
            ("GET", "/v1.0/users/x", json, "{}", "it has a body"),
            ("GET", "/beta/users/x", json, "", "not below the mount"),
        ] {
            let found = faults(method, path, kind, body).unwrap_err();
            assert!(found.contains(expected), "{method} {path} {body}: {found}");
        }
    }
}
