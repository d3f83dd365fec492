//! From the fields of a record to a labelled ticket, whatever the format was.

use super::Labelled;
use super::complaint::{Complaints, shown};
use crate::Kind;

/// Far above any ticket, and what a quotation mark that was never closed soon reaches.
const MAX_TEXT_BYTES: usize = 1024 * 1024;

/// The fields as they are written.
#[derive(Default)]
pub(super) struct Fields<'a> {
    pub(super) id: Option<&'a str>,
    pub(super) subject: &'a str,
    pub(super) body: &'a str,
    pub(super) category: &'a str,
    pub(super) automatable: Option<&'a str>,
}

/// The ticket; `None` where something is wrong, which has then been said.
pub(super) fn labelled(row: usize, fields: &Fields<'_>, complaints: &mut Complaints<'_>) -> Option<Labelled> {
    let subject = text("subject", row, fields.subject, complaints);
    let body = text("body", row, fields.body, complaints);
    let kind = kind(fields.category)
        .map_err(|what| complaints.row(row, what))
        .ok();
    let automatable = truth(fields.automatable)
        .map_err(|what| complaints.row(row, what))
        .ok();
    Some(Labelled {
        id: fields
            .id
            .map(str::trim)
            .filter(|id| !id.is_empty())
            .map(str::to_owned),
        subject: subject?,
        body: body?,
        kind: kind?,
        automatable: automatable?,
        row,
    })
}

/// A text of bearable length without NUL, its line ends as everywhere.
pub(super) fn text(column: &str, row: usize, value: &str, complaints: &mut Complaints<'_>) -> Option<String> {
    if value.len() > MAX_TEXT_BYTES {
        let what = format!(
            "the {column} has {} bytes, more than 1 MiB: shorten it, or look for a quotation mark that is never closed",
            value.len()
        );
        complaints.row(row, what);
        return None;
    }
    if value.contains('\0') {
        complaints.row(
            row,
            format!("the {column} contains NUL: remove the character with code 0"),
        );
        return None;
    }
    Some(value.replace("\r\n", "\n"))
}

/// What is wrong with the raw bytes of a record that begins at byte `start` of its file, if anything is.
pub(super) fn bytes(record: &[u8], start: usize) -> Result<&str, String> {
    std::str::from_utf8(record).map_err(|error| {
        format!(
            "no UTF-8 at byte {} of the file: save the file as UTF-8",
            start + error.valid_up_to()
        )
    })
}

fn kind(category: &str) -> Result<Kind, String> {
    let category = category.trim();
    let known = || Kind::ALL.map(Kind::name).join(", ");
    if category.is_empty() {
        return Err(format!("the category is empty: give one of {}", known()));
    }
    category.parse().map_err(|_| {
        // A name is short; what is not is no slip of the pen, and comparing it would take long.
        let nearest = Kind::ALL
            .into_iter()
            .filter(|_| category.len() <= 64)
            .min_by_key(|kind| unlikeness(&category.to_uppercase(), kind.name()));
        let hint = nearest.map_or_else(String::new, |kind| format!("; nearest is {kind}"));
        format!(
            "`{}` is no category{hint}; known are {}",
            shown(category),
            known()
        )
    })
}

fn truth(value: Option<&str>) -> Result<Option<bool>, String> {
    let value = value.unwrap_or_default().trim();
    match value.to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "true" | "1" | "yes" => Ok(Some(true)),
        "false" | "0" | "no" => Ok(Some(false)),
        _ => Err(format!(
            "automatable is `{}`: write true or false (or yes, no, 1, 0), or leave it empty",
            shown(value)
        )),
    }
}

/// Half a name says more than a few letters in common do.
fn unlikeness(written: &str, name: &str) -> (bool, usize) {
    (!name.contains(written), distance(written, name))
}

/// How many letters must be put in, taken out or replaced (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut costs: Vec<usize> = (0..=to.len()).collect();
    for (index, letter) in from.chars().enumerate() {
        let mut next = vec![index + 1];
        let mut left = index + 1;
        for (pair, other) in costs.windows(2).zip(&to) {
            let [diagonal, above] = *pair else { continue };
            left = (left + 1)
                .min(above + 1)
                .min(diagonal + usize::from(letter != *other));
            next.push(left);
        }
        costs = next;
    }
    costs.last().copied().unwrap_or_default()
}
