//! CSV as in RFC 4180: quotes, line ends within fields, and the separators that spreadsheets write.

use csv::ByteRecord;

use super::Labelled;
use super::complaint::{Complaints, shown};
use super::row::{self, Fields};

const SEPARATORS: [u8; 3] = [b',', b';', b'\t'];
const REQUIRED: [&str; 3] = ["subject", "body", "category"];
const OPTIONAL: [&str; 2] = ["automatable", "id"];

pub(super) fn read(text: &[u8], offset: usize, complaints: &mut Complaints<'_>) -> Vec<Labelled> {
    let (header, rows) = match header(text) {
        Ok(read) => read,
        Err(what) => {
            complaints.whole(what);
            return vec![];
        }
    };
    if rows.is_empty() {
        complaints.whole("has a header and no rows: add a ticket on each row".to_owned());
    }
    rows.iter()
        .filter_map(|record| ticket(&header, record, offset, complaints))
        .collect()
}

/// Where each column stands.
struct Header {
    subject: usize,
    body: usize,
    category: usize,
    automatable: Option<usize>,
    id: Option<usize>,
    fields: usize,
}

/// A record, and what it was read from.
struct Record<'a> {
    fields: ByteRecord,
    raw: &'a [u8],
    /// Of the first byte.
    start: usize,
    /// Line of the first byte.
    row: usize,
    last: bool,
}

/// The columns and all records below them, by whichever separator makes most sense of the first record.
fn header(text: &[u8]) -> Result<(Header, Vec<Record<'_>>), String> {
    let known = |separator: &u8| {
        names(text, *separator)
            .iter()
            .filter(|name| REQUIRED.contains(&name.as_str()) || OPTIONAL.contains(&name.as_str()))
            .count()
    };
    // Of equals the last is taken, and the comma is what a header of one column should be read by.
    let separator = SEPARATORS.into_iter().rev().max_by_key(known).unwrap_or(b',');
    let names = names(text, separator);
    if let Some(name) = REQUIRED
        .iter()
        .chain(&OPTIONAL)
        .find(|known| names.iter().filter(|name| name == *known).count() > 1)
    {
        return Err(format!("column `{name}` is there twice: rename one of the two"));
    }
    let place = |column: &str| names.iter().position(|name| name == column);
    let (Some(subject), Some(body), Some(category)) = (place("subject"), place("body"), place("category"))
    else {
        return Err(missing(&names));
    };
    let header = Header {
        subject,
        body,
        category,
        automatable: place("automatable"),
        id: place("id"),
        fields: names.len(),
    };
    let mut records = records(text, separator);
    if !records.is_empty() {
        records.remove(0);
    }
    Ok((header, records))
}

fn missing(names: &[String]) -> String {
    let missing: Vec<String> = REQUIRED
        .iter()
        .filter(|column| !names.iter().any(|name| name == *column))
        .map(|column| format!("`{column}`"))
        .collect();
    let found: Vec<String> = names.iter().map(|name| format!("`{}`", shown(name))).collect();
    format!(
        "without {}: name the columns subject, body and category in the first line (found {})",
        missing.join(", "),
        found.join(", ")
    )
}

/// The names in the first record, as they are compared.
fn names(text: &[u8], separator: u8) -> Vec<String> {
    let mut first = ByteRecord::new();
    match reader(text, separator).read_byte_record(&mut first) {
        Ok(true) => first
            .iter()
            .map(|name| String::from_utf8_lossy(name).trim().to_lowercase())
            .collect(),
        _ => vec![],
    }
}

fn reader(text: &[u8], separator: u8) -> csv::Reader<&[u8]> {
    csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator)
        .from_reader(text)
}

fn records(text: &[u8], separator: u8) -> Vec<Record<'_>> {
    let mut reader = reader(text, separator);
    let mut records = Vec::new();
    let mut fields = ByteRecord::new();
    let (mut row, mut counted) = (1, 0);
    // Reading from memory cannot fail, and records of any length are allowed: an error is the end.
    while matches!(reader.read_byte_record(&mut fields), Ok(true)) {
        let begin = fields.position().map_or(0, csv::Position::byte);
        let end = reader.position().byte();
        let (Ok(begin), Ok(end)) = (usize::try_from(begin), usize::try_from(end)) else {
            break;
        };
        // The reader leaves the second half of a line end, and empty lines, to the record that follows.
        let before = text.get(begin..end).unwrap_or_default();
        let blank = before
            .iter()
            .take_while(|byte| matches!(byte, b'\r' | b'\n'))
            .count();
        let start = begin + blank;
        row += lines(text.get(counted..start).unwrap_or_default());
        counted = start;
        records.push(Record {
            fields: fields.clone(),
            raw: text.get(start..end).unwrap_or_default(),
            start,
            row,
            last: false,
        });
    }
    if let Some(last) = records.last_mut() {
        last.last = true;
    }
    records
}

fn lines(text: &[u8]) -> usize {
    text.split(|byte| *byte == b'\n').count() - 1
}

fn ticket(
    header: &Header,
    record: &Record<'_>,
    offset: usize,
    complaints: &mut Complaints<'_>,
) -> Option<Labelled> {
    if let Err(what) = whole(header, record, offset) {
        complaints.row(record.row, what);
        return None;
    }
    // Quotes are taken away at letters only, so that a field of whole letters is whole.
    let field = |place: usize| {
        record
            .fields
            .get(place)
            .and_then(|field| std::str::from_utf8(field).ok())
    };
    let fields = Fields {
        id: header.id.and_then(field),
        subject: field(header.subject)?,
        body: field(header.body)?,
        category: field(header.category)?,
        automatable: header.automatable.and_then(field),
    };
    row::labelled(record.row, &fields, complaints)
}

/// Whether a record can be read at all.
fn whole(header: &Header, record: &Record<'_>, offset: usize) -> Result<(), String> {
    let start = offset + record.start;
    let raw = row::bytes(record.raw, start)?;
    if let Some(place) = raw.find('\0') {
        return Err(format!(
            "NUL at byte {} of the file: remove the character with code 0",
            start + place
        ));
    }
    let quotes = raw.bytes().filter(|byte| *byte == b'"').count();
    if record.last && quotes % 2 == 1 && raw.trim_end().contains('\n') {
        return Err(
            "a quotation mark is opened in this record and never closed: close it, and write those within texts twice"
                .to_owned(),
        );
    }
    let found = record.fields.len();
    if found < header.fields {
        return Err(format!(
            "has {found} of {} fields: give every column a field, an empty one too",
            header.fields
        ));
    }
    if found > header.fields {
        return Err(format!(
            "has {found} fields where the header names {}: put texts with the separator in quotation marks",
            header.fields
        ));
    }
    Ok(())
}
