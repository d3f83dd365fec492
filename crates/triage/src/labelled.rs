//! Labelled tickets, from files that people make: CSV as spreadsheets write it, and JSON Lines.
//!
//! A file is taken whole or not at all: whoever trains or measures on the half that could be read gets a figure that
//! looks like one and is none. So everything that is wrong is collected, with the row and what to do about it.

mod attacks;
mod complaint;
mod lines;
mod row;
mod table;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use sha2::{Digest, Sha256};

use crate::Kind;
pub use attacks::Attack;
pub use complaint::{Complaint, Refused};

/// A ticket, and what somebody who knows says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labelled {
    /// What the file calls it; unique over all files that are read together.
    pub id: Option<String>,
    /// Subject line.
    pub subject: String,
    /// The text below it; line ends are `\n`.
    pub body: String,
    /// What the requester needs done.
    pub kind: Kind,
    /// Whether it may be automated; `None` where the file does not say.
    pub automatable: Option<bool>,
    /// The line on which its record begins, from 1.
    pub row: usize,
}

/// A file that was read into memory.
#[derive(Debug, Clone, Copy)]
pub struct File<'a> {
    /// How complaints name it.
    pub name: &'a str,
    /// All of it.
    pub bytes: &'a [u8],
}

/// The tickets of all files, in their order.
///
/// Columns `subject`, `body` and `category` are required, `automatable` (true/false, yes/no, 1/0) and `id` are optional,
/// others are ignored. CSV is as in RFC 4180, with `,`, `;` or a tab between fields; JSON Lines has an object a line.
/// Which of them a file is, its first letter tells.
pub fn read(files: &[File<'_>]) -> Result<Vec<Labelled>, Refused> {
    let mut refused = Refused::default();
    let mut tickets = Vec::new();
    let mut ids = HashMap::new();
    for file in files {
        let read = match opening(*file) {
            Ok((offset, Format::Lines, text)) => lines::read(text, offset, &mut refused.of(file.name)),
            Ok((offset, Format::Table, text)) => table::read(text, offset, &mut refused.of(file.name)),
            Err(what) => {
                refused.of(file.name).whole(what);
                continue;
            }
        };
        for ticket in &read {
            note_id(&mut ids, file.name, ticket, &mut refused);
        }
        tickets.extend(read);
    }
    refused.unless_nothing(tickets)
}

/// The attacks of a file in JSON Lines: `subject` and `body` are required, `id`, `injection_text` and `attack_kind`
/// optional.
pub fn read_attacks(file: File<'_>) -> Result<Vec<Attack>, Refused> {
    let mut refused = Refused::default();
    let attacks = match opening(file) {
        Ok((offset, Format::Lines, text)) => attacks::read(text, offset, &mut refused.of(file.name)),
        Ok((_, Format::Table, _)) => {
            let what = "is no JSON Lines: write one object a line, with `subject` and `body`";
            refused.of(file.name).whole(what.to_owned());
            vec![]
        }
        Err(what) => {
            refused.of(file.name).whole(what);
            vec![]
        }
    };
    refused.unless_nothing(attacks)
}

/// What a set of tickets is, as SHA-256 in hex: the same for the same tickets in whatever order, file or format.
///
/// Each ticket is digested with the length of every field before it, so that no two different ones look alike; then the
/// sorted digests are.
pub fn digest(tickets: &[Labelled]) -> String {
    let mut each: Vec<[u8; 32]> = tickets.iter().map(of_one).collect();
    each.sort_unstable();
    let mut all = Sha256::new();
    for one in each {
        all.update(one);
    }
    hex::encode(all.finalize())
}

fn of_one(ticket: &Labelled) -> [u8; 32] {
    let automatable = match ticket.automatable {
        None => "",
        Some(true) => "true",
        Some(false) => "false",
    };
    let fields = [
        ticket.id.as_deref().unwrap_or_default(),
        &ticket.subject,
        &ticket.body,
        ticket.kind.name(),
        automatable,
    ];
    let mut hash = Sha256::new();
    for field in fields {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    hash.finalize().into()
}

enum Format {
    Lines,
    Table,
}

/// Which format a file is in, and its text with the offset of that behind a byte order mark; or why it is none.
fn opening(file: File<'_>) -> Result<(usize, Format, &[u8]), String> {
    let (offset, text) = match file.bytes.strip_prefix(b"\xEF\xBB\xBF") {
        Some(text) => (3, text),
        None => (0, file.bytes),
    };
    if text.starts_with(b"\xFF\xFE") || text.starts_with(b"\xFE\xFF") {
        return Err("is UTF-16: save it as UTF-8 (in spreadsheets: `CSV UTF-8`)".to_owned());
    }
    match text.iter().find(|byte| !byte.is_ascii_whitespace()) {
        None => Err("is empty: it needs a header or JSON objects, and a ticket on each row".to_owned()),
        Some(b'{') => Ok((offset, Format::Lines, text)),
        Some(b'[') => {
            Err("is a JSON array: write one object a line instead (`jq -c '.[]' FILE` does)".to_owned())
        }
        Some(_) => Ok((offset, Format::Table, text)),
    }
}

fn note_id(ids: &mut HashMap<String, (String, usize)>, file: &str, ticket: &Labelled, refused: &mut Refused) {
    let Some(id) = &ticket.id else { return };
    match ids.entry(id.clone()) {
        Entry::Vacant(free) => {
            free.insert((file.to_owned(), ticket.row));
        }
        Entry::Occupied(taken) => {
            let (first_file, first_row) = taken.get();
            let what = format!(
                "id `{}` is taken by {first_file}:{first_row}: leave one of the two out, or give it another id",
                complaint::shown(id)
            );
            refused.of(file).row(ticket.row, what);
        }
    }
}

#[cfg(test)]
mod tests;
