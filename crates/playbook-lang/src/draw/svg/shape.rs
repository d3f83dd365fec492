//! What each look looks like: a shape and a sign, so that it can be told apart without its colour.

use std::fmt::Write as _;

use super::n;
use crate::draw::layout::Size;
use crate::draw::picture::Look;

/// Outline, fill, width of the outline.
const fn colours(look: Look) -> (&'static str, &'static str, f64) {
    match look {
        Look::Start => ("#0f172a", "#0f172a", 1.5),
        Look::Verification => ("#1d4ed8", "#eff6ff", 2.0),
        Look::Privileged => ("#b91c1c", "#fef2f2", 3.5),
        Look::Delivery => ("#0f766e", "#f0fdfa", 2.0),
        Look::Action => ("#64748b", "#f8fafc", 1.5),
        Look::Ask => ("#7c3aed", "#f5f3ff", 2.0),
        Look::Decision => ("#a16207", "#fefce8", 2.0),
        Look::Wait => ("#475569", "#f1f5f9", 1.5),
        Look::Parallel => ("#94a3b8", "#fcfdfe", 1.5),
        Look::Fork => ("#334155", "#334155", 1.0),
        Look::Resolved => ("#15803d", "#dcfce7", 2.0),
        Look::Escalation => ("#c2410c", "#ffedd5", 2.0),
        Look::Unwritten => ("#b91c1c", "#ffffff", 1.5),
    }
}

/// The shape with its sign, from the corner of its box.
pub(super) fn outline(out: &mut String, look: Look, size: Size, bold: bool) {
    let (stroke, fill, wide) = colours(look);
    let wide = if bold { wide + 1.2 } else { wide };
    let dash = if look == Look::Unwritten {
        " stroke-dasharray=\"5 3\""
    } else {
        ""
    };
    let _ = writeln!(
        out,
        "<path d=\"{}\" fill=\"{fill}\" stroke=\"{stroke}\" stroke-width=\"{wide}\" stroke-linejoin=\"round\"{dash}/>",
        path(look, size)
    );
    if look == Look::Delivery {
        let x = size.width - 16.0;
        let _ = writeln!(
            out,
            "<path d=\"M{} 0v16h16\" fill=\"#ffffff\" stroke=\"{stroke}\" stroke-width=\"1.5\" stroke-linejoin=\"round\"/>",
            n(x)
        );
    }
    if let Some(sign) = sign(look) {
        let _ = writeln!(
            out,
            "<path transform=\"translate(13 {})\" d=\"{sign}\" fill=\"none\" stroke=\"{stroke}\" stroke-width=\"1.7\" \
             stroke-linecap=\"round\" stroke-linejoin=\"round\"/>",
            n(if look == Look::Parallel {
                17.0
            } else {
                (size.height - 20.0) / 2.0
            })
        );
    }
}

/// The same in small, for the legend.
pub(super) fn swatch(look: Look) -> String {
    let size = Size {
        width: 26.0,
        height: 16.0,
    };
    let (stroke, fill, wide) = colours(look);
    let dash = if look == Look::Unwritten {
        " stroke-dasharray=\"3 2\""
    } else {
        ""
    };
    let d = match look {
        // Round corners and cut ones must be smaller here.
        Look::Verification => "M5 0h16q5 0 5 5v2q0 6 -13 9q-13 -3 -13 -9v-2q0 -5 5 -5z".to_owned(),
        Look::Delivery => "M0 0h19l7 7v9h-26z".to_owned(),
        Look::Ask => "M3 0h20q3 0 3 3v7q0 3 -3 3h-13l-4 3v-3h-3q-3 0 -3 -3v-7q0 -3 3 -3z".to_owned(),
        Look::Escalation | Look::Unwritten => "M6 0h14l6 8l-6 8h-14l-6 -8z".to_owned(),
        Look::Wait => "M0 0h18a8 8 0 0 1 0 16h-18z".to_owned(),
        Look::Fork => "M0 6h26v4h-26z".to_owned(),
        look => path(look, size),
    };
    format!(
        "<path d=\"{d}\" fill=\"{fill}\" stroke=\"{stroke}\" stroke-width=\"{}\" stroke-linejoin=\"round\"{dash}/>",
        n(wide.min(2.6))
    )
}

fn path(look: Look, Size { width, height }: Size) -> String {
    let (w, h) = (n(width), n(height));
    let (half_w, half_h) = (n(width / 2.0), n(height / 2.0));
    match look {
        Look::Start | Look::Resolved => {
            let straight = n(width - height);
            format!(
                "M{half_h} 0h{straight}a{half_h} {half_h} 0 0 1 0 {h}h-{straight}a{half_h} {half_h} 0 0 1 0 -{h}z"
            )
        }
        // A shield: square shoulders, and a bottom that is drawn together.
        Look::Verification => {
            let side = n(height - 30.0);
            let flat = n(width - 52.0);
            let top = n(width - 16.0);
            format!("M8 0h{top}q8 0 8 8v{side}q0 18 -26 22h-{flat}q-26 -4 -26 -22v-{side}q0 -8 8 -8z")
        }
        Look::Privileged | Look::Fork => format!("M0 0h{w}v{h}h-{w}z"),
        Look::Delivery => format!("M0 0h{}l16 16v{}h-{w}z", n(width - 16.0), n(height - 16.0)),
        Look::Decision => format!("M{half_w} 0L{w} {half_h}L{half_w} {h}L0 {half_h}z"),
        Look::Wait => {
            let straight = n(width - height / 2.0);
            format!("M4 0H{straight}a{half_h} {half_h} 0 0 1 0 {h}H4q-4 0 -4 -4V4q0 -4 4 -4z")
        }
        // A speech bubble; what speaks is at its left.
        Look::Ask => {
            let (across, right, left) = (n(width - 28.0), n(height - 20.0), n(height - 34.0));
            format!(
                "M18 0h{across}q10 0 10 10v{right}q0 10 -10 10h-{across}q-10 0 -10 -10l-8 -6l8 -8v-{left}q0 -10 10 -10z"
            )
        }
        Look::Escalation | Look::Unwritten => {
            let flat = n(width - 36.0);
            format!("M18 0h{flat}l18 {half_h}l-18 {half_h}h-{flat}l-18 -{half_h}z")
        }
        Look::Action | Look::Parallel => rounded(width, height, if height > 20.0 { 8.0 } else { 4.0 }),
    }
}

fn rounded(width: f64, height: f64, radius: f64) -> String {
    let (across, down, r) = (n(width - 2.0 * radius), n(height - 2.0 * radius), n(radius));
    format!(
        "M{r} 0h{across}q{r} 0 {r} {r}v{down}q0 {r} -{r} {r}h-{across}q-{r} 0 -{r} -{r}v-{down}q0 -{r} {r} -{r}z"
    )
}

/// A drawing of 20 by 20.
const fn sign(look: Look) -> Option<&'static str> {
    Some(match look {
        // A tick.
        Look::Verification => "M3 10.5l5 5l9 -11",
        // A lock.
        Look::Privileged => "M4 9h12v9h-12zM6.5 9v-3a3.5 3.5 0 0 1 7 0v3M10 12.5v2",
        // An envelope.
        Look::Delivery => "M2 4h16v12h-16zM2 5l8 6l8 -6",
        // A gear, much simplified.
        Look::Action => {
            "M10 6.5a3.5 3.5 0 1 0 .01 0M10 2v2.5M10 15.5v2.5M2 10h2.5M15.5 10h2.5M4.4 4.4l1.7 1.7M13.9 13.9l1.7 1.7M4.4 15.6l1.7 -1.7M13.9 6.1l1.7 -1.7"
        }
        // A question mark.
        Look::Ask => "M6 6.5a4 4 0 1 1 5.6 3.6q-1.6 .8 -1.6 2.6M10 16.5v.2",
        // A clock.
        Look::Wait => "M10 2a8 8 0 1 0 .01 0M10 5.5v4.5l3 2",
        // One becomes two.
        Look::Parallel => "M10 1v6M3 7h14M3 7v11M17 7v11M.5 15.5l2.5 3l2.5 -3M14.5 15.5l2.5 3l2.5 -3",
        _ => return None,
    })
}
