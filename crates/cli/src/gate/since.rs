//! From when on.

use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, Duration, OffsetDateTime};

use crate::exit::BadInput;

/// A day or moment, or so long before `now`.
pub(super) fn moment(text: &str, now: OffsetDateTime) -> Result<OffsetDateTime, BadInput> {
    let day = || Date::parse(text, format_description!("[year]-[month]-[day]")).ok();
    ago(text)
        .and_then(|ago| now.checked_sub(ago))
        .or_else(|| OffsetDateTime::parse(text, &Rfc3339).ok())
        .or_else(|| day().map(|day| day.midnight().assume_utc()))
        .ok_or_else(|| {
            BadInput(format!(
                "--since is `{text}`, neither a day (2026-11-01), nor a moment (2026-11-01T08:00:00Z), nor so long ago (12h, 30d, 2w)"
            ))
        })
}

fn ago(text: &str) -> Option<Duration> {
    let unit = text.chars().last()?;
    let count = text.strip_suffix(unit)?;
    if count.is_empty() || !count.bytes().all(|sign| sign.is_ascii_digit()) {
        return None;
    }
    let seconds = match unit {
        'm' => 60,
        'h' => 3600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    count
        .parse::<i64>()
        .ok()?
        .checked_mul(seconds)
        .map(Duration::seconds)
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-11-28 12:00 UTC);

    #[test]
    fn a_day_a_moment_and_so_long_ago_are_understood_and_nothing_else_is() {
        for (text, expected) in [
            ("30d", datetime!(2026-10-29 12:00 UTC)),
            ("12h", datetime!(2026-11-28 0:00 UTC)),
            ("2w", datetime!(2026-11-14 12:00 UTC)),
            ("2026-11-01", datetime!(2026-11-01 0:00 UTC)),
            ("2026-11-01T08:00:00+01:00", datetime!(2026-11-01 7:00 UTC)),
        ] {
            assert_eq!(moment(text, NOW).unwrap(), expected, "{text}");
        }
        for slip in [
            "",
            "d",
            "30",
            "-30d",
            "30 d",
            "99999999999999d",
            "yesterday",
            "2026-13-01",
            "3ö",
        ] {
            assert!(moment(slip, NOW).unwrap_err().0.contains("30d"), "{slip}");
        }
    }
}
