//! `/docs`: the API as a page, rendered from its OpenAPI description; no script, nothing from other hosts.

use std::fmt::Write as _;

use serde_json::Value;
use utoipa::openapi::OpenApi;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}\
    h2{margin:2rem 0 .2rem;font:600 1.05rem ui-monospace,monospace}h2 b{display:inline-block;min-width:4rem;color:#0b5cad}\
    table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.25rem .6rem;border-bottom:1px solid #d7dce1;vertical-align:top}\
    code{font:0.9em ui-monospace,monospace}a{color:#0b5cad}@media(prefers-color-scheme:dark){body{background:#14181d;color:#dde3ea}\
    h2 b,a{color:#7cb8ff}td,th{border-color:#333b45}}";
const METHODS: [&str; 5] = ["get", "post", "put", "patch", "delete"];

/// The whole page.
pub(crate) fn page(openapi: &OpenApi) -> String {
    let document = serde_json::to_value(openapi).unwrap_or_default();
    let title = escape(text(&document["info"], "title"));
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style><h1>{title}</h1>\
         <p>The same as a document: <a href=\"/openapi.json\">/openapi.json</a>. Errors are \
         <code>application/problem+json</code> (RFC 9457) with a stable <code>code</code>; every POST takes an \
         <code>Idempotency-Key</code>.</p>"
    );
    for (path, item) in members(&document["paths"]) {
        for method in METHODS {
            if let Some(operation) = item.get(method) {
                operation_section(&mut page, &document, path, method, operation);
            }
        }
    }
    if let Some(schemas) = document.pointer("/components/schemas") {
        page.push_str("<h1>Shapes</h1>");
        for (name, schema) in members(schemas) {
            schema_section(&mut page, name, schema);
        }
    }
    page
}

// Writing to a string cannot fail: the results of `write!` below are dropped.

fn operation_section(page: &mut String, document: &Value, path: &str, method: &str, operation: &Value) {
    let _ = write!(page, "<h2><b>{}</b> {}</h2>", method.to_uppercase(), escape(path));
    let words = [text(operation, "summary"), text(operation, "description")];
    for paragraph in words.into_iter().filter(|words| !words.is_empty()) {
        let _ = write!(page, "<p>{}</p>", escape(paragraph));
    }
    page.push_str("<table>");
    for parameter in operation["parameters"].as_array().into_iter().flatten() {
        let place = format!("{} in {}", text(parameter, "name"), text(parameter, "in"));
        row(
            page,
            &place,
            &kind(&parameter["schema"]),
            text(parameter, "description"),
        );
    }
    for (media, content) in members(&operation["requestBody"]["content"]) {
        row(page, "body", &kind(&content["schema"]), media);
    }
    for (status, response) in members(&operation["responses"]) {
        let shapes: Vec<String> = members(&response["content"])
            .map(|(_, content)| kind(&content["schema"]))
            .collect();
        row(page, status, &shapes.join(", "), text(response, "description"));
    }
    page.push_str("</table>");
    debug_assert!(document.is_object(), "an OpenAPI document is an object");
}

fn schema_section(page: &mut String, name: &str, schema: &Value) {
    let _ = write!(
        page,
        "<h2 id=\"{0}\">{0}</h2><p>{1}</p>",
        escape(name),
        escape(text(schema, "description"))
    );
    page.push_str("<table>");
    for (field, of) in members(&schema["properties"]) {
        row(page, field, &kind(of), text(of, "description"));
    }
    page.push_str("</table>");
}

fn row(page: &mut String, name: &str, kind: &str, words: &str) {
    let _ = write!(
        page,
        "<tr><td><code>{}</code><td>{kind}<td>{}",
        escape(name),
        escape(words)
    );
}

/// What a schema is, with a link where it has a name. Already escaped.
fn kind(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        let name = escape(name);
        return format!("<a href=\"#{name}\">{name}</a>");
    }
    for key in ["oneOf", "anyOf", "allOf"] {
        if let Some(parts) = schema[key].as_array() {
            return parts.iter().map(kind).collect::<Vec<_>>().join(" | ");
        }
    }
    match &schema["type"] {
        Value::String(word) if word == "array" => format!("list of {}", kind(&schema["items"])),
        Value::String(word) => escape(word),
        Value::Array(words) => words
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(" | "),
        _ => "any".to_owned(),
    }
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, member)| (name.as_str(), member))
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or("")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}
