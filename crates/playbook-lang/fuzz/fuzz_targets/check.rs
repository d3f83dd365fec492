//! No bytes make the check, the formatter or the fixer panic, and what they say of them holds together.
#![no_main]

use libfuzzer_sys::fuzz_target;
use playbook_lang::{Registry, Shelf, check_bytes, check_calling, fix, format};

fuzz_target!(|bytes: &[u8]| {
    let registry = Registry::builtin();
    let shelf = Shelf::default();
    let report = check_bytes(bytes, &registry, &shelf);
    let Ok(source) = std::str::from_utf8(bytes) else {
        assert!(!report.ok());
        return;
    };
    if let Some(formatted) = format(source) {
        assert_eq!(format(&formatted).as_ref(), Some(&formatted));
        assert_eq!(check_calling(&formatted, &registry, &shelf).ok(), report.ok());
    }
    if let Some(fixed) = fix(source, &registry, &shelf) {
        assert!(fix(&fixed.source, &registry, &shelf).is_none());
    }
    // A document is also what another one calls.
    let mut shelf = Shelf::default();
    if shelf.put(source) {
        for (name, version) in playbook_lang::calls(source) {
            let caller = std::format!(
                "name: caller\nversion: \"1\"\nsteps: [{{id: c, type: call, playbook: {name}, version: \"{version}\", on_success: d}}, {{id: d, type: terminal, status: RESOLVED}}]\n"
            );
            check_calling(&caller, &registry, &shelf);
        }
    }
});
