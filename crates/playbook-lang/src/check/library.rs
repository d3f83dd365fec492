//! The playbooks that a playbook may call, by name and version.

use std::collections::HashMap;

use common::{Digest, PlaybookName, PlaybookRef, PlaybookVersion};

use crate::document::{Document, KindDocument};
use crate::findings::Findings;
use crate::{read, yaml};

/// Playbooks to call. Cheap to build: documents are read, not checked; what a call makes of them is checked with the
/// caller.
#[derive(Debug, Clone, Default)]
pub struct Shelf {
    documents: HashMap<(String, String), Option<Shelved>>,
}

#[derive(Debug, Clone)]
struct Shelved {
    document: Document,
    reference: PlaybookRef,
    size_bytes: usize,
}

/// What the shelf has under a name and version.
pub(super) enum Called<'s> {
    Readable {
        document: &'s Document,
        reference: &'s PlaybookRef,
        size_bytes: usize,
    },
    Broken,
    Missing,
}

impl Shelf {
    /// Put a document there, under the name and version that it has. `false` where it has none, or cannot be read.
    pub fn put(&mut self, source: &str) -> bool {
        let mut findings = Findings::default();
        let Some(document) =
            yaml::parse(source, &mut findings).map(|root| read::document(root, &mut findings))
        else {
            return false;
        };
        let (Some(name), Some(version)) = (&document.name, &document.version) else {
            return false;
        };
        let key = (name.value.as_str().to_owned(), version.as_str().to_owned());
        let reference = PlaybookRef {
            name: name.value.clone(),
            version: version.clone(),
            digest: Digest::of(source),
        };
        let readable = !findings.any_error();
        let shelved = readable.then_some(Shelved {
            document,
            reference,
            size_bytes: source.len(),
        });
        self.documents.insert(key, shelved);
        readable
    }

    pub(super) fn called(&self, key: &(String, String)) -> Called<'_> {
        match self.documents.get(key) {
            Some(Some(shelved)) => Called::Readable {
                document: &shelved.document,
                reference: &shelved.reference,
                size_bytes: shelved.size_bytes,
            },
            Some(None) => Called::Broken,
            None => Called::Missing,
        }
    }
}

/// The playbooks that a document calls itself, each once. Empty where it cannot be read.
pub fn calls(source: &str) -> Vec<(PlaybookName, PlaybookVersion)> {
    let mut findings = Findings::default();
    let document = yaml::parse(source, &mut findings).map(|root| read::document(root, &mut findings));
    let mut called = Vec::new();
    for step in document.iter().flat_map(|document| &document.steps) {
        if let KindDocument::Call(call) = &step.kind
            && let (Some(name), Some(version)) = (&call.playbook, &call.version)
        {
            let call = (name.value.clone(), version.clone());
            if !called.contains(&call) {
                called.push(call);
            }
        }
    }
    called
}
