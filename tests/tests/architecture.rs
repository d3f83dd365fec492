//! The house keeps the shape that the design drew: arrows point down, services do not know each other, three crates
//! stay pure, and every crate follows the workspace in versions and lints.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};

const SERVICES: [&str; 6] = [
    "classifier",
    "playbook",
    "orchestration",
    "verification",
    "executor",
    "delivery",
];

/// Crates that take the clock and randomness as arguments and perform nothing.
const PURE: [&str; 4] = ["playbook-lang", "trust", "triage", "sentences"];

/// Where no code may ask the machine what time it is.
const PARTS_OF_A_SERVICE: [&str; 8] = [
    "services",
    "crates/common",
    "crates/chassis",
    "crates/connectors",
    "crates/playbook-lang",
    "crates/sentences",
    "crates/triage",
    "crates/trust",
];

/// How one asks the machine. Durations (`Instant`) are none of it.
const MACHINES_CLOCK: [&str; 5] = [
    "OffsetDateTime::now_utc",
    "OffsetDateTime::now_local",
    "SystemTime::now",
    "Uuid::now_v7",
    "get_current_timestamp",
];

/// What a pure crate may not reach, directly or through others.
const WORLDLY: [&str; 6] = ["tokio", "reqwest", "sqlx", "redis", "axum", "hyper"];

/// The floor a crate lives on. An arrow may only point to a lower one.
fn floor(crate_name: &str) -> Option<u8> {
    match crate_name {
        "common" => Some(0),
        "playbook-lang" | "trust" | "triage" | "sentences" => Some(1),
        "chassis" | "connectors" | "simulators" => Some(2),
        service if SERVICES.contains(&service) => Some(3),
        "launcher" => Some(4),
        "firstline" | "fleet-tests" => Some(5),
        _ => None,
    }
}

/// Whether the product itself may have the arrow `from -> to`.
fn allowed(from: &str, to: &str) -> bool {
    match (from, to) {
        // The outside world is written from the vendors' documents and knows nothing of ours but words.
        ("simulators", to) => to == "common",
        // It is no part of a service either.
        (from, "simulators") if SERVICES.contains(&from) => false,
        (from, to) => matches!((floor(from), floor(to)), (Some(from), Some(to)) if from > to),
    }
}

/// Whether only the tests of `from` may stand on `to`, though it lives higher or beside it.
fn allowed_in_tests(from: &str, to: &str) -> bool {
    let has_database = from == "chassis" || SERVICES.contains(&from);
    let calls_outside = from == "connectors" || SERVICES.contains(&from);
    allowed(from, to)
        || (to == "launcher" && has_database)
        || (to == "simulators" && calls_outside)
        || (from == "simulators" && to == "connectors")
}

fn workspace() -> Metadata {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../Cargo.toml");
    MetadataCommand::new()
        .manifest_path(manifest)
        .other_options(["--locked".to_owned()])
        .exec()
        .expect("`cargo metadata` describes the workspace")
}

/// `from -> to` within the workspace, and whether it is for tests only.
fn arrows(metadata: &Metadata) -> Vec<(String, String, bool)> {
    let members = metadata.workspace_packages();
    let ours: BTreeSet<&str> = members.iter().map(|package| package.name.as_str()).collect();
    let arrows_of = |package: &&Package| {
        let from = package.name.to_string();
        let dependencies = package.dependencies.clone().into_iter();
        dependencies.map(move |to| (from.clone(), to.name, to.kind == DependencyKind::Development))
    };
    let arrows = members.iter().flat_map(arrows_of);
    arrows.filter(|(_, to, _)| ours.contains(to.as_str())).collect()
}

#[test]
fn every_crate_has_a_floor() {
    let metadata = workspace();
    let homeless: Vec<_> = metadata
        .workspace_packages()
        .into_iter()
        .filter(|package| floor(&package.name).is_none())
        .map(|package| package.name.to_string())
        .collect();
    assert_eq!(
        homeless,
        Vec::<String>::new(),
        "give it a floor here and a line in docs/ARCHITECTURE.md"
    );
}

#[test]
fn arrows_point_down_only() {
    let broken: Vec<_> = arrows(&workspace())
        .into_iter()
        .filter(|(from, to, in_tests)| {
            let may = if *in_tests {
                allowed_in_tests(from, to)
            } else {
                allowed(from, to)
            };
            !may
        })
        .map(|(from, to, in_tests)| format!("{from} -> {to}{}", if in_tests { " (tests)" } else { "" }))
        .collect();
    assert_eq!(broken, Vec::<String>::new(), "DESIGN section 1 has no such arrow");
}

#[test]
fn no_service_knows_another_not_even_in_its_tests() {
    let known: Vec<_> = arrows(&workspace())
        .into_iter()
        .filter(|(from, to, _)| SERVICES.contains(&from.as_str()) && SERVICES.contains(&to.as_str()))
        .collect();
    assert_eq!(known, Vec::new(), "services talk REST, through `common::client`");
}

/// A table of the rules above, by hand: they must refuse what the design refuses.
#[test]
fn the_rules_refuse_what_the_design_refuses() {
    for (from, to) in [
        ("common", "trust"),
        ("trust", "playbook-lang"),
        ("trust", "chassis"),
        ("chassis", "connectors"),
        ("connectors", "executor"),
        ("classifier", "orchestration"),
        ("executor", "simulators"),
        ("executor", "launcher"),
        ("simulators", "trust"),
        ("launcher", "firstline"),
        ("firstline", "fleet-tests"),
        ("newcomer", "common"),
    ] {
        assert!(!allowed(from, to), "{from} -> {to}");
    }
    for (from, to) in [
        ("trust", "common"),
        ("chassis", "trust"),
        ("executor", "connectors"),
        ("launcher", "executor"),
        ("launcher", "simulators"),
        ("firstline", "launcher"),
        ("fleet-tests", "common"),
    ] {
        assert!(allowed(from, to), "{from} -> {to}");
    }
    assert!(allowed_in_tests("executor", "launcher") && !allowed_in_tests("connectors", "launcher"));
}

#[test]
fn pure_crates_reach_no_network_no_database_and_no_runtime() {
    let metadata = workspace();
    let reached_by = |from: &str| reached(&metadata, from);
    for pure in PURE {
        let worldly: Vec<String> = reached_by(pure)
            .into_iter()
            .filter(|name| WORLDLY.contains(&name.as_str()))
            .collect();
        assert_eq!(
            worldly,
            Vec::<String>::new(),
            "`{pure}` takes time and randomness as arguments and performs nothing"
        );
    }
    assert!(
        reached_by("chassis").contains("tokio"),
        "the search finds nothing"
    );
}

/// Every crate that `from` is built with. It stops at `common`, whose typed clients carry an HTTP client that pure
/// crates have no use for.
fn reached(metadata: &Metadata, from: &str) -> BTreeSet<String> {
    let resolve = metadata.resolve.as_ref().expect("the metadata is resolved");
    let nodes: BTreeMap<_, _> = resolve.nodes.iter().map(|node| (&node.id, node)).collect();
    let names: BTreeMap<_, _> = metadata
        .packages
        .iter()
        .map(|package| (&package.id, package.name.to_string()))
        .collect();
    let start = names
        .iter()
        .find(|(_, name)| name.as_str() == from)
        .map(|(id, _)| *id);
    let mut ahead: Vec<_> = start.into_iter().collect();
    let mut reached = BTreeSet::new();
    while let Some(id) = ahead.pop() {
        for dependency in &nodes[id].deps {
            let built_in = dependency
                .dep_kinds
                .iter()
                .any(|kind| kind.kind != DependencyKind::Development);
            let name = &names[&dependency.pkg];
            if built_in && name != "common" && reached.insert(name.clone()) {
                ahead.push(&dependency.pkg);
            }
        }
    }
    reached
}

#[test]
fn versions_are_given_once_at_the_root_and_lints_are_those_of_the_workspace() {
    let mut wrong = Vec::new();
    for package in workspace().workspace_packages() {
        let text = std::fs::read_to_string(&package.manifest_path).expect("a manifest is readable");
        let manifest: toml::Table = text.parse().expect("a manifest is TOML");
        let targets = manifest.get("target").and_then(toml::Value::as_table);
        let tables = targets
            .into_iter()
            .flat_map(|targets| targets.values().filter_map(toml::Value::as_table));
        for table in tables.chain([&manifest]) {
            wrong.extend(
                own_versions(table)
                    .into_iter()
                    .map(|name| format!("{}: {name}", package.name)),
            );
        }
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        if lints != Some(&toml::Value::Boolean(true)) {
            wrong.push(format!("{}: no `[lints] workspace = true`", package.name));
        }
    }
    assert_eq!(wrong, Vec::<String>::new(), "write `name.workspace = true`");
}

/// Dependencies in a manifest (or one of its `[target]` tables) that do not take their version from the workspace.
fn own_versions(manifest: &toml::Table) -> Vec<String> {
    ["dependencies", "dev-dependencies", "build-dependencies"]
        .into_iter()
        .filter_map(|kind| manifest.get(kind)?.as_table())
        .flatten()
        .filter(|(_, value)| value.get("workspace") != Some(&toml::Value::Boolean(true)))
        .map(|(name, _)| name.clone())
        .collect()
}

/// Machines' clocks differ, and what one process writes another compares.
#[test]
fn what_a_service_is_made_of_goes_by_the_clock_of_the_fleet() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let clock = root.join("crates/common/src/clock.rs");
    let mut own = Vec::new();
    for part in PARTS_OF_A_SERVICE {
        visit(&root.join(part), &mut |path| {
            let is_product = path.extension().is_some_and(|extension| extension == "rs")
                && !path.components().any(|part| part.as_os_str() == "tests");
            if is_product && *path != clock {
                let text = std::fs::read_to_string(path).expect("a source file is readable");
                if MACHINES_CLOCK.iter().any(|asks| text.contains(asks)) {
                    own.push(path.display().to_string());
                }
            }
        });
    }
    assert_eq!(
        own,
        Vec::<String>::new(),
        "ask `common::clock`: `now()`, or `fresh_id()`; for how long something takes, `Instant`"
    );
}

#[test]
fn every_source_file_begins_with_what_it_is_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut silent = Vec::new();
    for part in ["crates", "services", "tests"] {
        visit(&root.join(part), &mut |path| {
            let is_source = path.extension().is_some_and(|extension| extension == "rs");
            // Programs that must not compile are cases of a test, not files of the house.
            let is_case = path.components().any(|part| part.as_os_str() == "misuse");
            if is_source && !is_case {
                let text = std::fs::read_to_string(path).expect("a source file is readable");
                if !text.starts_with("//!") {
                    silent.push(path.display().to_string());
                }
            }
        });
    }
    assert_eq!(
        silent,
        Vec::<String>::new(),
        "begin with `//!`: its job, and what it never does"
    );
}

/// What `cargo run` built serves `cargo test` too, or every user builds half of it twice (docs/decisions/0066).
#[test]
fn tests_ask_no_crate_for_more_than_the_fleet_does() {
    let run = built_with(&["--package", "firstline", "--edges", "normal,build"]);
    let tested = built_with(&["--workspace", "--edges", "normal,build,dev"]);
    assert!(
        run.iter().any(|built| built.starts_with("tract-core ")),
        "{run:?}"
    );
    let twice: Vec<_> = run.difference(&tested).collect();
    assert_eq!(
        twice,
        Vec::<&String>::new(),
        "`cargo test --workspace` builds these with other features: name those in crates/cli/Cargo.toml"
    );
}

/// Every crate with its version and features.
fn built_with(selection: &[&str]) -> BTreeSet<String> {
    let output = std::process::Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--prefix", "none", "--format", "{p} {f}"])
        .args(selection)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .output()
        .expect("`cargo tree` runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let listed = String::from_utf8(output.stdout).expect("`cargo tree` writes UTF-8");
    // The mark of what was listed before.
    let listed = listed
        .lines()
        .map(|line| line.trim_end_matches(" (*)").to_owned());
    listed.collect()
}

fn visit(directory: &Path, see: &mut dyn FnMut(&Path)) {
    for entry in std::fs::read_dir(directory).expect("a directory is readable") {
        let path = entry.expect("an entry is readable").path();
        if path.is_dir() {
            visit(&path, see);
        } else {
            see(&path);
        }
    }
}
