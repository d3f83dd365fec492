//! Mending what can be mended without asking: a step that edges lead to and nobody wrote becomes an escalation.
//!
//! The author's text is edited in place, so that every byte of it stays: indentation, comments, quotes.

mod places;
#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use common::StepId;

use crate::check::{Shelf, undefined};
use crate::document::{Document, Place};
use crate::findings::{Findings, nearest};
use crate::print::words::{quoted, word};
use crate::registry::Registry;
use crate::{read, yaml};
use places::{List, Places};

/// A mended playbook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fixed {
    /// The whole text.
    pub source: String,
    /// The steps that were put in, in the order of the edges that lead to them.
    pub added: Vec<StepId>,
}

/// Put an escalation step at the end of the steps for every step that edges lead to and that is not there; for one that
/// the steps of a branch lead to, at the end of that branch.
///
/// A step of nearly the same name is more likely to be meant, so such an edge is left to its author, and stays an
/// `undefined-step` finding. Fixing twice fixes no more than once. `None` where there is nothing to mend, or the document
/// cannot be read as YAML.
pub fn fix(source: &str, registry: &Registry, shelf: &Shelf) -> Option<Fixed> {
    let document = readable(source)?;
    let places = Places::of(source)?;
    let mut added: Vec<(StepId, Option<Place>, usize)> = Vec::new();
    for (step, target) in undefined(&document, registry, shelf) {
        let known = document.steps.iter().map(|step| step.id.value.as_str());
        if added.iter().any(|(id, ..)| id == target) || nearest(target.as_str(), known).is_some() {
            continue;
        }
        let list = places.list_of(step.id.at)?;
        added.push((target.clone(), step.within.clone(), list));
    }
    if added.is_empty() {
        return None;
    }
    let mut edits = Vec::new();
    for (number, list) in places.lists().iter().enumerate() {
        let ids: Vec<&StepId> = added
            .iter()
            .filter(|(.., of)| *of == number)
            .map(|(id, ..)| id)
            .collect();
        if !ids.is_empty() {
            edits.extend(edits_of(source, list, &ids)?);
        }
    }
    let fixed = edited(source, edits);
    if !as_wanted(&document, &readable(&fixed)?, &added) {
        return None;
    }
    Some(Fixed {
        source: fixed,
        added: added.into_iter().map(|(id, ..)| id).collect(),
    })
}

fn readable(source: &str) -> Option<Document> {
    let mut findings = Findings::default();
    yaml::parse(source, &mut findings).map(|root| read::document(root, &mut findings))
}

/// Nothing but the new steps is new, and they stand where they should.
fn as_wanted(before: &Document, after: &Document, added: &[(StepId, Option<Place>, usize)]) -> bool {
    let new = |id: &StepId| added.iter().find(|(known, ..)| known == id);
    let mut old = before.steps.iter();
    let mut seen = 0_usize;
    for step in &after.steps {
        if let Some((_, place, _)) = new(&step.id.value) {
            seen = seen.saturating_add(1);
            if step.within != *place {
                return false;
            }
            continue;
        }
        let same = old.next().is_some_and(|old| {
            old.id.value == step.id.value && old.within == step.within && old.edges.len() == step.edges.len()
        });
        if !same {
            return false;
        }
    }
    old.next().is_none() && seen == added.len()
}

/// Text to put in, at a byte.
struct Edit {
    at: usize,
    text: String,
}

/// All at once. Of several at the same place the inner list's comes first: its text ends before the outer one's begins.
fn edited(source: &str, mut edits: Vec<Edit>) -> String {
    edits.reverse();
    edits.sort_by_key(|edit| edit.at);
    let mut fixed = String::with_capacity(source.len().saturating_add(1024));
    let mut from = 0;
    for edit in edits {
        fixed.push_str(source.get(from..edit.at).unwrap_or_default());
        fixed.push_str(&edit.text);
        from = edit.at;
    }
    fixed.push_str(source.get(from..).unwrap_or_default());
    fixed
}

fn edits_of(source: &str, list: &List, ids: &[&StepId]) -> Option<Vec<Edit>> {
    if list.flow {
        flow_edits(source, list, ids)
    } else {
        block_edit(source, list, ids).map(|edit| vec![edit])
    }
}

/// Behind the last item; where the items stand in lines of their own, in lines of their own.
fn flow_edits(source: &str, list: &List, ids: &[&StepId]) -> Option<Vec<Edit>> {
    let last = list.items.last()?;
    let steps: Vec<String> = ids.iter().map(|id| flow_step(id)).collect();
    let behind = source.get(last.end..)?;
    let line = behind
        .find('\n')
        .map_or(behind, |end| behind.get(..end).unwrap_or(behind));
    let rest = line.trim_start().trim_start_matches(',').trim();
    if list.line == last.line || !(rest.is_empty() || rest.starts_with('#')) {
        let text = format!(", {}", steps.join(", "));
        return Some(vec![Edit { at: last.end, text }]);
    }
    // What is said behind the last item stays behind it.
    let comma = line.trim_start().starts_with(',');
    let line_end = last.end.saturating_add(line.trim_end_matches('\r').len());
    let newline = newline_of(source);
    let indent = " ".repeat(last.column);
    let steps: Vec<String> = steps
        .iter()
        .map(|step| format!("{newline}{indent}{step}"))
        .collect();
    let mut text = steps.join(",");
    if comma {
        text.push(',');
    }
    let mut edits = vec![Edit { at: line_end, text }];
    if !comma {
        edits.push(Edit {
            at: last.end,
            text: ",".to_owned(),
        });
    }
    Some(edits)
}

fn flow_step(id: &StepId) -> String {
    format!(
        "{{id: {}, name: {}, type: escalation, reason: {}}}",
        word(id.as_str()),
        quoted(&name_of(id)),
        quoted(&reason_of(id))
    )
}

/// Lines behind those of the last item, written as its are.
fn block_edit(source: &str, list: &List, ids: &[&StepId]) -> Option<Edit> {
    let last = list.items.last()?;
    let newline = newline_of(source);
    let lines: Vec<&str> = source.split_inclusive('\n').collect();
    let content = |line: &str| line.trim_start_matches('\u{feff}').trim().to_owned();
    let (dash_line, dash) = (1..=last.line).rev().find_map(|number| {
        let line = lines.get(number.checked_sub(1)?)?;
        let text = content(line);
        let dashed = text == "-" || text.starts_with("- ");
        dashed.then(|| {
            (
                number,
                line.len().saturating_sub(line.trim_start_matches(' ').len()),
            )
        })
    })?;
    let gap = if dash_line == last.line {
        last.column.saturating_sub(dash).saturating_sub(1)
    } else {
        1
    };
    // Authors who put an empty line between two steps get one before the new one.
    let above = lines
        .get(..dash_line.saturating_sub(1))?
        .iter()
        .rev()
        .map(|line| content(line))
        .find(|line| !line.starts_with('#'));
    let spaced = list.items.len() > 1 && above.is_some_and(|line| line.is_empty());

    let mut at = last.end;
    if !last.ends_line {
        at = at.saturating_add(rest_of_line(source, at));
    }
    // A comment further in than the dash is about the step above it.
    loop {
        let rest = rest_of_line(source, at);
        let line = source.get(at..at.saturating_add(rest))?;
        let indent = line.len().saturating_sub(line.trim_start_matches(' ').len());
        if indent <= dash || !line.trim_start().starts_with('#') {
            break;
        }
        at = at.saturating_add(rest);
    }

    let (first, other) = (
        " ".repeat(dash),
        " ".repeat(dash.saturating_add(1).saturating_add(gap)),
    );
    let gap = " ".repeat(gap);
    let mut text = String::new();
    for id in ids {
        if spaced {
            text.push_str(newline);
        }
        if last.flow {
            let _ = write!(text, "{first}-{gap}{}{newline}", flow_step(id));
        } else {
            let _ = write!(
                text,
                "{first}-{gap}id: {}{newline}{other}name: {}{newline}{other}type: escalation{newline}{other}reason: {}{newline}",
                word(id.as_str()),
                quoted(&name_of(id)),
                quoted(&reason_of(id)),
            );
        }
    }
    // Where the last line has no end, the new last line has none either.
    if !source.get(..at)?.ends_with('\n') {
        text = format!("{newline}{}", text.strip_suffix(newline).unwrap_or(&text));
    }
    Some(Edit { at, text })
}

/// How many bytes are left of the line, its end included.
fn rest_of_line(source: &str, at: usize) -> usize {
    let rest = source.get(at..).unwrap_or_default();
    rest.find('\n').map_or(rest.len(), |end| end.saturating_add(1))
}

fn newline_of(source: &str) -> &'static str {
    match source.find('\n') {
        Some(end) if source.get(..end).is_some_and(|line| line.ends_with('\r')) => "\r\n",
        _ => "\n",
    }
}

/// `escalate_reset_failed`: "Escalate: Reset Failed".
fn name_of(id: &StepId) -> String {
    let words: Vec<String> = words_of(id).iter().map(|word| capital(word)).collect();
    if words.is_empty() {
        return "Escalate".to_owned();
    }
    format!("Escalate: {}", words.join(" "))
}

/// `escalate_reset_failed`: "Reset failed".
fn reason_of(id: &StepId) -> String {
    let words = words_of(id);
    if words.is_empty() {
        return "A person takes over".to_owned();
    }
    capital(&words.join(" "))
}

/// The words of an id, without the one that says that it escalates.
fn words_of(id: &StepId) -> Vec<&str> {
    let mut words: Vec<&str> = id
        .as_str()
        .split(['_', '-', '.'])
        .filter(|word| !word.is_empty())
        .collect();
    if words
        .first()
        .is_some_and(|word| word.eq_ignore_ascii_case("escalate"))
    {
        words.remove(0);
    }
    words
}

fn capital(word: &str) -> String {
    let mut letters = word.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
