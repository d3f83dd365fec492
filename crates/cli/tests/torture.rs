//! A short storm, as a person would start it: real processes, a fixed seed, and the verdict as the exit code.

use std::process::Command;

#[test]
fn what_must_hold_holds_after_a_short_storm() {
    let ran = Command::new(env!("CARGO_BIN_EXE_firstline"))
        .args(["torture", "--minutes", "0.7", "--seed", "7"])
        .output()
        .expect("the command line starts");
    let told = String::from_utf8_lossy(&ran.stdout);
    let complaints = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{told}\n{complaints}");
    assert!(told.contains("Everything holds."), "{told}");
    // Wherever the library could be had, it was used.
    let skewed = launcher::servers::clock_faker(&|_| {}).is_ok();
    let clocks = if skewed {
        "\nClocks: first classifier "
    } else {
        "\nClocks: those of processes are right (libfaketime is missing"
    };
    assert!(told.contains(clocks) && told.contains(", vendors "), "{told}");
    for trouble in [
        "orchestration: killed",
        ": asked to stop",
        "all that vendors push: twice",
        "Postgres: crashed",
        "Redis: killed",
        "webhooks: none at all",
    ] {
        assert!(
            told.contains(trouble),
            "the storm of this seed was without `{trouble}`:\n{told}"
        );
    }
}

#[test]
fn a_storm_of_no_length_makes_no_sense() {
    let ran = Command::new(env!("CARGO_BIN_EXE_firstline"))
        .args(["torture", "--minutes", "0"])
        .output()
        .expect("the command line starts");
    assert_eq!(ran.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("up to 1440"));
}
