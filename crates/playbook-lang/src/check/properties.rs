//! What must hold of any graph: the checks agree with brute force, a reported path really leads there, no mutant of a
//! shipped playbook acts on an unverified person, and no text makes the check panic.

mod budget;
mod certain;
mod model;
mod mutants;
mod proof;
mod texts;

use std::path::PathBuf;

use super::*;

pub(crate) use model::blocks;

fn unchecked_calling(source: &str, registry: &Registry, shelf: &Shelf) -> Option<Playbook> {
    let mut findings = Findings::default();
    let document = read::document(yaml::parse(source, &mut findings)?, &mut findings);
    let (graph, whole) = examine(&document, registry, shelf, &mut findings);
    compile::playbook(&document, &graph, &whole, source)
}

/// A random playbook in brackets whose bad ending is not written.
pub(crate) fn flow_without_person(block: &model::Block) -> String {
    model::written(block, model::Direction::Anywhere, "")
        .source
        .replacen(
            ",\n  {id: person, type: escalation, reason: r}]\n",
            "]\n",
            usize::MAX,
        )
}

/// The playbooks that are shipped, by file name.
pub(crate) fn shipped() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../playbooks");
    let mut shipped: Vec<(String, String)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yml"))
        .filter(|path| !path.to_string_lossy().contains(".scenarios."))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, std::fs::read_to_string(&path).unwrap())
        })
        .collect();
    shipped.sort();
    assert!(!shipped.is_empty());
    shipped
}

/// All of them, to be called by one another.
pub(crate) fn shelf_of_shipped() -> Shelf {
    let mut shelf = Shelf::default();
    for (_, source) in shipped() {
        shelf.put(&source);
    }
    shelf
}
