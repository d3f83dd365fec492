//! `GET /Users`: the requesters, as the help desk knows them. The search is fuzzy; callers must look again.

use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::HaloSim;
use super::auth::Caller;
use super::refusal::Refusal;
use super::tenant::{CLIENT, CLIENT_NAME, SITE};
use crate::company::Person;

#[derive(Debug, Deserialize)]
pub(crate) struct Search {
    #[serde(default)]
    search: String,
    client_id: Option<i64>,
    #[serde(default)]
    includeinactive: bool,
    #[serde(default)]
    pageinate: bool,
    page_no: Option<usize>,
    page_size: Option<usize>,
    count: Option<usize>,
    advanced_search: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Exact {
    filter_name: String,
    filter_type: i64,
    filter_value: String,
}

/// Fields that this tenant lets be searched exactly.
fn exact_field<'a>(person: &'a Person, field: &str, id: &'a str) -> Option<&'a str> {
    match field {
        "azureoid" => Some(id),
        "emailaddress" => Some(&person.email),
        "name" => Some(&person.name),
        _ => None,
    }
}

pub(crate) fn user(person: &Person) -> Value {
    let directory_id = if person.id.is_nil() {
        String::new()
    } else {
        person.id.to_string()
    };
    json!({
        "id": person.halo_id, "name": person.name,
        "firstname": person.given_name(), "surname": person.surname(),
        "emailaddress": person.email, "email2": "", "email3": "",
        "login": person.upn, "networklogin": person.upn, "samaccountname": person.given_name().to_lowercase(),
        "azureoid": directory_id, "aaduserid": directory_id,
        "phonenumber": "", "mobilenumber": person.contact_phone, "mobilenumber2": "",
        "title": person.job_title, "department": person.department,
        // Declared as a double, and sent as one.
        "site_id": 18.0, "site_id_int": SITE, "site_name": "Main",
        "client_id": CLIENT, "client_name": CLIENT_NAME,
        "inactive": person.halo_inactive, "isserviceaccount": false, "is_vip": person.halo_vip, "linked_agent_id": 0,
        "customfields": [],
    })
}

pub(crate) async fn list(
    State(halo): State<HaloSim>,
    caller: Caller,
    Query(search): Query<Search>,
) -> Result<Json<Value>, Refusal> {
    caller.may("read", "customers")?;
    let exact: Vec<Exact> = match &search.advanced_search {
        Some(given) => {
            serde_json::from_str(given).map_err(|_| Refusal::invalid("Invalid advanced search parameter"))?
        }
        None => Vec::new(),
    };
    let known = |exact: &Exact| {
        exact.filter_type == 2 && ["azureoid", "emailaddress", "name"].contains(&exact.filter_name.as_str())
    };
    if !exact.iter().all(known) {
        return Err(Refusal::invalid("Invalid advanced search parameter"));
    }
    let wanted = search.search.to_lowercase();
    let found: Vec<Value> = halo
        .desk
        .core
        .directory
        .all()
        .iter()
        .chain(&halo.desk.state.lock().outsiders)
        .filter(|person| search.includeinactive || !person.halo_inactive)
        .filter(|_| search.client_id.is_none_or(|client| client == CLIENT))
        .filter(|person| {
            [&person.name, &person.email, &person.upn]
                .iter()
                .any(|field| field.to_lowercase().contains(&wanted))
        })
        .filter(|person| {
            let id = person.id.to_string();
            exact.iter().all(|exact| {
                exact_field(person, &exact.filter_name, &id)
                    .is_some_and(|field| field.eq_ignore_ascii_case(&exact.filter_value))
            })
        })
        .map(user)
        .collect();
    let total = found.len();
    let (skip, take) = if search.pageinate {
        let size = search.page_size.unwrap_or(50).max(1);
        ((search.page_no.unwrap_or(1).max(1) - 1) * size, size)
    } else {
        (0, search.count.unwrap_or(usize::MAX))
    };
    let users: Vec<Value> = found.into_iter().skip(skip).take(take).collect();
    Ok(Json(json!({ "record_count": total, "users": users })))
}

pub(crate) async fn read(
    State(halo): State<HaloSim>,
    caller: Caller,
    Path(id): Path<i64>,
) -> Result<Json<Value>, Refusal> {
    caller.may("read", "customers")?;
    let outsider = || {
        let state = halo.desk.state.lock();
        state
            .outsiders
            .iter()
            .find(|person| person.halo_id == id)
            .cloned()
    };
    let person = halo
        .desk
        .core
        .directory
        .find(|person| person.halo_id == id)
        .or_else(outsider)
        .ok_or(Refusal::Missing)?;
    Ok(Json(user(&person)))
}
