//! `down.sql` without what there is nothing for. Postgres makes ready for all that a statement names: it opens every index of a
//! table into which nothing goes. With one step to put down that is a fifth of what the statement costs.

use std::sync::LazyLock;

/// What there is to do beside letting executions go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// New executions are there.
    pub(super) begins: bool,
    /// A signal comes with a write.
    pub(super) hears: bool,
    /// Tickets have news.
    pub(super) tells: bool,
}

impl Shape {
    /// Every one there is.
    pub(super) fn all() -> impl Iterator<Item = Self> {
        (0..SHAPES).map(Self::nth)
    }

    /// The statement for it. All of them have the same parameters and the same columns.
    pub(super) fn sql(self) -> &'static str {
        static TEXTS: LazyLock<Vec<String>> = LazyLock::new(|| {
            Shape::all()
                .map(|shape| shape.part_of(include_str!("down.sql")))
                .collect()
        });
        let nth = usize::from(self.begins) + 2 * usize::from(self.hears) + 4 * usize::from(self.tells);
        &TEXTS[nth]
    }

    fn nth(nth: usize) -> Self {
        Self {
            begins: nth & 1 != 0,
            hears: nth & 2 != 0,
            tells: nth & 4 != 0,
        }
    }

    /// What it needs of `whole`, where `-- <tells>` begins a part that only tickets' news need, and `-- </tells>` ends it.
    fn part_of(self, whole: &str) -> String {
        let mut sql = String::with_capacity(whole.len());
        let mut left_out = None;
        for line in whole.lines() {
            let mark = line.strip_prefix("-- <").and_then(|mark| mark.strip_suffix('>'));
            match (mark, left_out) {
                (Some(part), None) if self.lacks(part) => left_out = Some(part),
                (Some(end), Some(part)) if end.strip_prefix('/') == Some(part) => left_out = None,
                (None, None) => sql.extend([line, "\n"]),
                _ => {}
            }
        }
        sql
    }

    fn lacks(self, part: &str) -> bool {
        match part {
            "begins" => !self.begins,
            "hears" => !self.hears,
            "tells" => !self.tells,
            _ => false,
        }
    }
}

/// Three things that are there or are not.
const SHAPES: usize = 1 << 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_there_is_nothing_for_is_left_out_with_what_is_in_it() {
        let whole =
            "a\n-- <tells>\nb\n-- <begins>\nc\n-- </begins>\nd\n-- </tells>\n-- <begins>\ne\n-- </begins>\nf";
        let parts = Shape::all().filter(|shape| !shape.hears).map(|shape| {
            let words: Vec<String> = shape.part_of(whole).lines().map(str::to_owned).collect();
            (shape.begins, shape.tells, words.concat())
        });
        let parts: Vec<(bool, bool, String)> = parts.collect();
        let expected = [
            (false, false, "af"),
            (true, false, "aef"),
            (false, true, "abdf"),
            (true, true, "abcdef"),
        ];
        assert_eq!(
            parts,
            expected.map(|(begins, tells, words)| (begins, tells, words.to_owned()))
        );
    }

    #[test]
    fn every_mark_is_of_a_part_that_something_needs() {
        let marks = include_str!("down.sql")
            .lines()
            .filter_map(|line| line.strip_prefix("-- <"));
        let parts: std::collections::BTreeSet<&str> =
            marks.map(|mark| mark.trim_matches(['/', '>'])).collect();
        assert!(parts.into_iter().eq(["begins", "hears", "tells"]));
    }

    #[test]
    fn each_shape_has_a_statement_of_its_own_and_no_mark_is_left_in_it() {
        let texts: std::collections::BTreeSet<&str> = Shape::all().map(Shape::sql).collect();
        assert_eq!(texts.len(), SHAPES);
        assert!(texts.iter().all(|text| !text.contains("-- <")));
    }
}
