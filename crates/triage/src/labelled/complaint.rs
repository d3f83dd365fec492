//! What is wrong with a file, told to whoever must mend it.

use std::fmt;

/// Whoever has more to mend than this begins with these.
const SHOWN: usize = 20;

/// How much of a value is repeated in a complaint, in letters.
const SHOWN_LETTERS: usize = 40;

/// One thing that is wrong, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The file, as it was named.
    pub file: String,
    /// The line on which the record begins, from 1; `None` where the whole file is meant.
    pub row: Option<usize>,
    /// What is wrong.
    pub what: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row {
            Some(row) => write!(f, "{}:{row}: {}", self.file, self.what),
            None => write!(f, "{}: {}", self.file, self.what),
        }
    }
}

/// Nothing was taken from the files: the first twenty complaints, and how many more there are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Refused {
    /// At most twenty, in the order of files and rows.
    pub complaints: Vec<Complaint>,
    /// Those beyond.
    pub more: usize,
}

impl std::error::Error for Refused {}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, complaint) in self.complaints.iter().enumerate() {
            let before = if index == 0 { "" } else { "\n" };
            write!(f, "{before}{complaint}")?;
        }
        if self.more > 0 {
            write!(f, "\nand {} more", self.more)?;
        }
        Ok(())
    }
}

impl Refused {
    pub(super) fn of<'a>(&'a mut self, file: &'a str) -> Complaints<'a> {
        Complaints { file, refused: self }
    }

    /// What was read, where there is nothing to complain of; else the complaints by row.
    pub(super) fn unless_nothing<T>(mut self, read: T) -> Result<T, Self> {
        if self.complaints.is_empty() {
            return Ok(read);
        }
        let mut files: Vec<String> = Vec::new();
        for complaint in &self.complaints {
            if !files.contains(&complaint.file) {
                files.push(complaint.file.clone());
            }
        }
        self.complaints.sort_by_key(|complaint| {
            let file = files.iter().position(|file| *file == complaint.file);
            (file, complaint.row)
        });
        Err(self)
    }
}

/// Where complaints about one file are collected.
pub(super) struct Complaints<'a> {
    file: &'a str,
    refused: &'a mut Refused,
}

impl Complaints<'_> {
    pub(super) fn row(&mut self, row: usize, what: String) {
        self.add(Some(row), what);
    }

    pub(super) fn whole(&mut self, what: String) {
        self.add(None, what);
    }

    fn add(&mut self, row: Option<usize>, what: String) {
        if self.refused.complaints.len() < SHOWN {
            self.refused.complaints.push(Complaint {
                file: self.file.to_owned(),
                row,
                what,
            });
        } else {
            self.refused.more += 1;
        }
    }
}

/// A value of a file as a complaint may repeat it: short, and without anything that moves a terminal.
pub(super) fn shown(value: &str) -> String {
    let mut letters = value.chars();
    let mut short: String = letters
        .by_ref()
        .take(SHOWN_LETTERS)
        .flat_map(char::escape_debug)
        .collect();
    if letters.next().is_some() {
        short.push_str("...");
    }
    short
}
