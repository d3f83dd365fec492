//! `/transitiveMemberOf` and its kin: groups and directory roles, mixed, in pages.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{OriginalUri, Path, State};
use http::{HeaderMap, Uri};
use serde_json::{Value, json};

use super::EntraSim;
use super::graph::{Caller, GraphError, Options, object};
use crate::company::Person;

const GROUP: &str = "#microsoft.graph.group";
const ROLE: &str = "#microsoft.graph.directoryRole";

const READ: [&str; 3] = ["User.Read.All", "Directory.Read.All", "GroupMember.Read.All"];
const READ_GROUPS: [&str; 3] = ["GroupMember.Read.All", "Group.Read.All", "Directory.Read.All"];
const READ_ROLES: [&str; 2] = ["RoleManagement.Read.Directory", "Directory.Read.All"];

fn group(entra: &EntraSim, name: &str, assignable: bool) -> Value {
    json!({
        "@odata.type": GROUP, "id": entra.core.seed.uuid(&format!("group/{name}")), "displayName": name,
        "description": null, "groupTypes": [], "mailEnabled": false, "securityEnabled": true,
        "isAssignableToRole": assignable.then_some(true), "mail": null, "createdDateTime": "2021-03-01T08:00:00Z",
    })
}

/// Groups and roles of `person`, everything that `$select` may name.
fn memberships(entra: &EntraSim, person: &Person) -> Vec<Value> {
    let mut found = vec![
        group(entra, "All Staff", false),
        group(entra, &person.department, false),
    ];
    if person.in_privileged_group {
        found.push(group(entra, "Privileged Operators", true));
    }
    found.extend(person.groups.iter().map(|name| group(entra, name, false)));
    for (name, template) in &person.roles {
        found.push(json!({
            "@odata.type": ROLE, "id": entra.core.seed.uuid(&format!("role/{template}")),
            "displayName": name, "description": name, "roleTemplateId": template,
        }));
    }
    found
}

/// Members of a type that the caller may not read keep nothing but their type and id.
fn visible(caller: &Caller, member: Value) -> Value {
    let readable = match member["@odata.type"].as_str() {
        Some(ROLE) => caller.has(&READ_ROLES),
        _ => caller.has(&READ_GROUPS),
    };
    if readable {
        return member;
    }
    let mut bare = member;
    if let Some(fields) = bare.as_object_mut() {
        for (name, value) in fields.iter_mut() {
            if name != "@odata.type" && name != "id" {
                *value = Value::Null;
            }
        }
    }
    bare
}

/// `$select` over a mixed list skips what a type does not have.
fn selected(options: &Options, member: &Value) -> Value {
    let Some(list) = options.get("$select") else {
        return member.clone();
    };
    let wanted: Vec<&str> = list.split(',').map(str::trim).collect();
    let fields = member.as_object().into_iter().flatten();
    fields
        .filter(|(name, _)| *name == "@odata.type" || wanted.contains(&name.as_str()))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn page(
    entra: &EntraSim,
    uri: &Uri,
    options: &Options,
    members: &[Value],
) -> Result<Json<Value>, GraphError> {
    let limit = entra.state.lock().page_size;
    let size = options.top()?.unwrap_or(limit).min(limit);
    let skip = match options.get("$skiptoken").map(str::parse::<usize>) {
        None => 0,
        Some(Ok(skip)) => skip,
        Some(Err(_)) => return Err(GraphError::bad_request("The skip token is invalid.")),
    };
    let value: Vec<Value> = members
        .iter()
        .skip(skip)
        .take(size)
        .map(|member| selected(options, member))
        .collect();
    let mut answer = json!({ "@odata.context": entra.context("directoryObjects"), "value": value });
    if skip + size < members.len() {
        let mut next = entra.core.urls.entra.clone();
        next.set_path(uri.path());
        let kept = ["$select", "$top"]
            .into_iter()
            .filter_map(|name| Some((name, options.get(name)?)));
        next.query_pairs_mut()
            .extend_pairs(kept)
            .append_pair("$skiptoken", &(skip + size).to_string());
        answer["@odata.nextLink"] = json!(next);
    }
    Ok(Json(answer))
}

pub(crate) async fn all(
    State(entra): State<EntraSim>,
    caller: Caller,
    Path(key): Path<String>,
    OriginalUri(uri): OriginalUri,
    options: Options,
) -> Result<Json<Value>, GraphError> {
    caller.needs(&READ)?;
    let person = entra.person(&key)?;
    let members: Vec<Value> = memberships(&entra, &person)
        .into_iter()
        .map(|member| visible(&caller, member))
        .collect();
    page(&entra, &uri, &options, &members)
}

pub(crate) async fn cast(
    State(entra): State<EntraSim>,
    caller: Caller,
    Path((key, cast)): Path<(String, String)>,
    OriginalUri(uri): OriginalUri,
    options: Options,
) -> Result<Json<Value>, GraphError> {
    let kind = match cast.as_str() {
        "microsoft.graph.group" => GROUP,
        "microsoft.graph.directoryRole" => ROLE,
        "microsoft.graph.administrativeUnit" => "#microsoft.graph.administrativeUnit",
        other => return Err(GraphError::bad_request(format!("Unknown type '{other}'."))),
    };
    caller.needs(&READ)?;
    if kind == ROLE {
        caller.needs(&READ_ROLES)?;
    }
    let person = entra.person(&key)?;
    let members: Vec<Value> = memberships(&entra, &person)
        .into_iter()
        .filter(|member| member["@odata.type"] == kind)
        .map(|member| visible(&caller, member))
        .collect();
    page(&entra, &uri, &options, &members)
}

fn ids(entra: &EntraSim, person: &Person, groups_only: bool) -> Vec<Value> {
    let members = memberships(entra, person).into_iter();
    members
        .filter(|member| !groups_only || member["@odata.type"] == GROUP)
        .map(|member| member["id"].clone())
        .collect()
}

pub(crate) async fn check(
    State(entra): State<EntraSim>,
    caller: Caller,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, GraphError> {
    caller.needs(&READ_GROUPS)?;
    let person = entra.person(&key)?;
    let asked = object(&headers, &body)?;
    let asked = asked
        .get("groupIds")
        .and_then(Value::as_array)
        .filter(|ids| ids.len() <= 20);
    let Some(asked) = asked else {
        return Err(GraphError::bad_request("groupIds: 1 to 20 ids."));
    };
    let held = ids(&entra, &person, true);
    let subset: Vec<&Value> = asked.iter().filter(|id| held.contains(id)).collect();
    Ok(Json(
        json!({ "@odata.context": entra.context("Collection(Edm.String)"), "value": subset }),
    ))
}

pub(crate) async fn member_objects(
    State(entra): State<EntraSim>,
    caller: Caller,
    Path(key): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Value>, GraphError> {
    caller.needs(&READ_GROUPS)?;
    let person = entra.person(&key)?;
    if !object(&headers, &body)?
        .get("securityEnabledOnly")
        .is_some_and(Value::is_boolean)
    {
        return Err(GraphError::bad_request("securityEnabledOnly is required."));
    }
    let held = ids(&entra, &person, false);
    Ok(Json(
        json!({ "@odata.context": entra.context("Collection(Edm.String)"), "value": held }),
    ))
}
