//! What is sent to do harm, or by mistake: the answer is a finding, and soon.

use super::*;

use std::fmt::Write as _;

use crate::yaml::MAX_BYTES;

/// The one finding of what is no playbook at all.
fn refused(bytes: &[u8]) -> Finding {
    let report = check_bytes(bytes, &Registry::builtin(), &Shelf::default());
    let shown = String::from_utf8_lossy(bytes.get(..40).unwrap_or(bytes)).into_owned();
    assert!(!report.ok(), "{shown:?}");
    assert_eq!(report.findings.len(), 1, "{shown:?}: {:?}", report.findings);
    assert_eq!(report.findings[0].code, code::SYNTAX, "{shown:?}");
    report.findings.into_iter().next().unwrap()
}

fn calling(main: &str, others: &[String]) -> Report {
    let mut shelf = Shelf::default();
    for other in others {
        assert!(shelf.put(other));
    }
    check_calling(main, &Registry::builtin(), &shelf)
}

fn has(report: &Report, code: &str) -> bool {
    report.findings.iter().any(|finding| finding.code == code)
}

#[test]
fn bytes_that_are_no_text_are_refused_where_they_stand() {
    let good = "name: t\nversion: \"1\"\ndescription: é";
    let mut bytes = good.as_bytes().to_vec();
    bytes.extend([0xc3, 0x28]);
    let finding = refused(&bytes);
    assert_eq!((finding.line, finding.column), (3, 15));
    assert!(finding.message.contains("0xC3"), "{}", finding.message);
    let wide = |big: bool| -> Vec<u8> {
        good.encode_utf16()
            .flat_map(|unit| {
                if big {
                    unit.to_be_bytes()
                } else {
                    unit.to_le_bytes()
                }
            })
            .collect()
    };
    for bytes in [
        [&[0xff, 0xfe][..], &wide(false)].concat(),
        [&[0xfe, 0xff][..], &wide(true)].concat(),
        wide(false),
        wide(true),
    ] {
        assert!(refused(&bytes).message.contains("UTF-16"));
    }
    refused(b"name: t\0\nversion: 1\n");
    refused(&[]);
    // A mark before UTF-8 is no harm.
    let source = "\u{feff}name: t\nversion: \"1\"\nsteps: [{id: d, type: terminal, status: RESOLVED}]\n";
    assert!(check_bytes(source.as_bytes(), &Registry::builtin(), &Shelf::default()).ok());
}

#[test]
fn too_much_is_refused_before_it_is_read() {
    let large = format!("name: t\ndescription: \"{}\"\n", "x".repeat(10 * MAX_BYTES));
    refused(large.as_bytes());
    let invalid = vec![0xc3; 10 * MAX_BYTES];
    refused(&invalid);
    let mut bomb = "a0: &a0 [x, x]\n".to_owned();
    for n in 1..40 {
        let _ = writeln!(bomb, "a{n}: &a{n} [*a{0}, *a{0}]", n - 1);
    }
    refused(bomb.as_bytes());
    refused(format!("name: {}", "[".repeat(500_000)).as_bytes());
    refused(format!("name: {}", "{a: ".repeat(250_000)).as_bytes());
    refused(format!("name: {}", "- ".repeat(500_000)).as_bytes());
    refused("name: t\n\tversion: 1\n".as_bytes());
}

#[test]
fn many_of_everything_is_answered_with_as_many_findings_as_anybody_reads() {
    let most = 201;
    let repeated =
        |line: &str, times: usize| format!("name: t\nversion: \"1\"\nsteps:\n{}", line.repeat(times));
    let mut keys = "name: t\n".to_owned();
    let mut other_keys = keys.clone();
    for n in 0..80_000 {
        keys.push_str("k: 1\n");
        let _ = writeln!(other_keys, "k{n}: 1");
    }
    for source in [
        keys,
        other_keys,
        repeated("- {}\n", 200_000),
        repeated("- a\n", 200_000),
    ] {
        let report = check(&source, &Registry::builtin());
        assert!(!report.ok() && report.findings.len() <= most);
    }
}

/// As many steps as there may be, `step(n, count)` each.
fn many(step: impl Fn(usize, usize) -> String) -> String {
    let count = 1997;
    let steps: String = (0..count).map(|n| step(n, count)).collect();
    document(&with_ends(&steps))
}

fn or_done(n: usize, count: usize) -> String {
    if n < count {
        format!("s{n}")
    } else {
        "done".to_owned()
    }
}

#[test]
fn the_largest_graphs_are_proven() {
    let registry = Registry::builtin();
    // A chain of verifications, each of which looks for what it allows at the far end.
    let chain = many(|n, count| {
        let next = or_done(n + 1, count);
        let service = if n + 1 == count {
            "executor.reset_password"
        } else {
            "verification.mfa"
        };
        format!("- {{id: s{n}, service: {service}, on_success: {next}, on_failure: person}}\n")
    });
    assert!(check(&chain, &registry).ok());
    // Verifications and acts by turns, leading everywhere.
    let services = [
        "verification.mfa",
        "verification.manager",
        "executor.reset_password",
        "delivery.sms",
    ];
    let web = many(|n, count| {
        let to = |step: usize| or_done((n + step) % (count + 1), count);
        format!(
            "- {{id: s{n}, service: {}, max_visits: 2, on_success: {}, on_failure: {}, on_denied: {}, on_timeout: {}}}\n",
            services[n % 4],
            to(1),
            to(7),
            to(31),
            to(977)
        )
    });
    assert!(!check(&web, &registry).ok());
    // Every output is used by everybody behind it, from the last to the first.
    let outputs = many(|n, count| {
        format!(
            "- {{id: s{n}, service: executor.reset_synced_password, max_visits: 2, on_success: {}, on_failure: s{}}}\n",
            or_done(n + 1, count),
            n / 2
        )
    });
    assert!(has(&check(&outputs, &registry), code::UNVERIFIED_PRIVILEGED_STEP));
    let used = many(|n, count| {
        let next = or_done(n + 1, count);
        if n % 2 == 0 {
            format!(
                "- {{id: s{n}, type: ask, question: q, answer: text, max_visits: 2, on_success: {next}, on_timeout: s{}}}\n",
                (n * 7) % count
            )
        } else {
            format!(
                "- {{id: s{n}, service: ticket.note, max_visits: 2, with: {{text: \"{{{{ steps.s{}.output.answer }}}}\"}}, on_success: {next}, on_failure: s{}}}\n",
                n - 1,
                (n * 11) % count
            )
        }
    });
    assert!(!has(&check(&used, &registry), code::SYNTAX));
    // Names that are all near to each other, and none of them there.
    let near = many(|n, _| {
        let id: String = format!("{n:0>60b}")
            .chars()
            .map(|bit| if bit == '0' { 'a' } else { 'b' })
            .collect();
        let other: String = id.chars().rev().collect();
        format!("- {{id: {id}, service: verification.mfa, on_success: {other}x, on_failure: {other}y}}\n")
    });
    assert!(has(&check(&near, &registry), code::UNDEFINED_STEP));
    // Everything depends on everything before it, written backwards.
    let backwards = many(|n, count| {
        let wanted: Vec<String> = (n + 1..count.min(n + 20))
            .map(|other| format!("s{other}"))
            .collect();
        format!(
            "- {{id: s{n}, service: ticket.note, with: {{text: x}}, depends_on: [{}], on_failure: person}}\n",
            wanted.join(", ")
        )
    });
    assert!(!has(&check(&backwards, &registry), code::BAD_DEPENDENCY));
}

#[test]
fn the_widest_and_the_deepest_parallel_steps_are_proven() {
    let registry = Registry::builtin();
    // A thousand branches; a branch of a thousand endings.
    // Where the first will do, nobody may be asked for proof.
    for (join, service) in [
        ("all", "verification.mfa"),
        ("any", "ticket.note, with: {text: x}"),
    ] {
        let mut branches = String::new();
        for n in 0..990 {
            let _ = write!(
                branches,
                "b{n}: [{{id: v{n}, service: {service}, on_success: e{n}, on_failure: e{n}}}, {{id: e{n}, type: terminal, status: RESOLVED}}], "
            );
        }
        let wide = document(&with_ends(&format!(
            "- {{id: p, type: parallel, join: {join}, branches: {{{branches}}}, on_success: done, on_failure: person}}\n"
        )));
        let report = check(&wide, &registry);
        // Nothing in them ends badly, so `on_failure` is never taken.
        assert!(
            has(&report, code::UNREACHABLE_STEP) && report.findings.len() == 1,
            "{:?}",
            report.findings.first()
        );
    }
    let mut endings = String::new();
    for n in 0..990 {
        let next = if n == 989 {
            "e0".to_owned()
        } else {
            format!("v{}", n + 1)
        };
        let _ = write!(
            endings,
            "{{id: v{n}, type: ask, question: q, answer: text, on_success: {next}, on_timeout: e{n}}}, {{id: e{n}, type: terminal, status: RESOLVED}}, "
        );
    }
    let source = document(&with_ends(&format!(
        "- {{id: p, type: parallel, branches: {{a: [{endings}], b: [{{id: x, type: escalation, reason: r}}]}}, on_success: done, on_failure: n}}\n- {{id: n, service: ticket.note, with: {{text: \"{{{{ steps.v0.output.answer }}}}\"}}, on_success: done, on_failure: person}}\n"
    )));
    assert!(has(&check(&source, &registry), code::BAD_TEMPLATE));
    // Within each other, as deep as a document may be.
    let mut deep = "[{id: t, type: terminal, status: RESOLVED}]".to_owned();
    for n in 0..9 {
        deep = format!(
            "[{{id: p{n}, type: parallel, branches: {{a: {deep}, b: [{{id: b{n}, type: escalation, reason: r}}]}}, on_success: e{n}, on_failure: e{n}}}, {{id: e{n}, type: terminal, status: RESOLVED}}]"
        );
    }
    let source = format!("name: t\nversion: \"1\"\nsteps: {deep}\n");
    assert!(check(&source, &registry).ok());
}

#[test]
fn calls_that_multiply_are_refused() {
    // Ten calls of ten calls of ... of a playbook that leaves nothing behind.
    let empty = "- {id: d, type: terminal, status: RESOLVED}\n";
    let named = |name: usize, steps: &str| format!("name: p{name}\nversion: \"1\"\nsteps:\n{steps}");
    let mut shelf = vec![named(0, empty)];
    for level in 1..8 {
        let calls: String = (0..60)
            .map(|n| {
                format!(
                    "- {{id: c{n}, type: call, playbook: p{}, version: \"1\", on_success: {}}}\n",
                    level - 1,
                    if n == 59 {
                        "d".to_owned()
                    } else {
                        format!("c{}", n + 1)
                    }
                )
            })
            .collect();
        shelf.push(named(level, &format!("{calls}{empty}")));
    }
    let report = calling(&shelf[7].clone(), &shelf);
    assert!(has(&report, code::BAD_CALL));
    assert!(report.findings.len() <= 201);
}

#[test]
fn what_is_passed_to_calls_does_not_multiply_either() {
    let mut notes = String::new();
    for n in 0..900 {
        let to = if n == 899 {
            "d".to_owned()
        } else {
            format!("n{}", n + 1)
        };
        let _ = writeln!(
            notes,
            "- {{id: n{n}, service: ticket.note, with: {{text: \"{{{{ inputs.a }}}}{{{{ inputs.a }}}}{{{{ inputs.a }}}}\"}}, on_success: {to}, on_failure: d}}"
        );
    }
    let called = format!(
        "name: p\nversion: \"1\"\ninputs: {{a: {{type: text}}}}\nsteps:\n{notes}- {{id: d, type: terminal, status: RESOLVED}}\n"
    );
    let main = document(&with_ends(&format!(
        "- {{id: c, type: call, playbook: p, version: \"1\", with: {{a: \"{}\"}}, on_success: done, on_failure: person}}\n",
        "x".repeat(900_000)
    )));
    assert!(has(&calling(&main, &[called]), code::BAD_CALL));
    // One large playbook, called often.
    let large = format!(
        "name: p\nversion: \"1\"\nsteps:\n- {{id: n, service: ticket.note, with: {{text: \"{}\"}}, on_success: d, on_failure: d}}\n- {{id: d, type: terminal, status: RESOLVED}}\n",
        "x".repeat(900_000)
    );
    let calls: String = (0..500).map(|n| format!("- {{id: c{n}, type: call, playbook: p, version: \"1\", on_success: c{}, on_failure: person}}\n", n + 1)).collect();
    let main = document(&with_ends(&format!(
        "{calls}- {{id: c500, type: terminal, status: RESOLVED}}\n"
    )));
    assert!(has(&calling(&main, &[large]), code::BAD_CALL));
}

#[test]
fn a_tab_is_blamed_for_what_the_parser_cannot_read_and_for_nothing_else() {
    let said = |source: &str| {
        let report = check(source, &Registry::builtin());
        let finding = report.findings.first().unwrap();
        (finding.line, finding.message.contains("tab"))
    };
    assert_eq!(said("name: t\nsteps:\n\t- {id: d}\n"), (3, true));
    // Within a block of text it is the author's.
    let anchored = "name: t\ndescription: |\n  see:\n  \tnothing wrong here\nsteps: &all\n  - {id: d, type: terminal, status: RESOLVED}\n";
    assert_eq!(said(anchored), (5, false));
    assert_eq!(
        said("name: t\nsteps: [}\nmore: 1\n\tlater: 1\n"),
        (2, false),
        "what comes behind is not reached"
    );
}
