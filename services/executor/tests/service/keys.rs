//! A public seal key that is not fit: the executor does not start, and says how to mend it.

#![expect(clippy::unwrap_used, reason = "a test may")]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;

use launcher::testing::exit_of;

use crate::house::{ADELE, House};

/// Settings or the files that they name are bad: nothing gets better by starting again.
const UNFIT: Option<i32> = Some(2);
const FILE: &str = "seal.pub";

impl House {
    /// What the person reads who tries to start it.
    async fn refused_start(&self) -> String {
        let (code, said) = exit_of(env!("CARGO_BIN_EXE_executor"), &self.settings_map()).await;
        assert_eq!(code, UNFIT, "{said}");
        let path = self.key_file(FILE).display().to_string();
        assert!(said.starts_with("executor: cannot start: "), "{said}");
        assert!(said.contains(&path), "{said}");
        assert!(!said.contains("hunter2") && !said.contains("BEGIN"), "{said}");
        said
    }

    fn chmod(&self, mode: u32) {
        std::fs::set_permissions(self.key_file(FILE), Permissions::from_mode(mode)).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_key_that_others_can_change_is_refused_with_the_chmod_that_mends_it() {
    let house = House::new().await;
    for mode in [0o664, 0o646, 0o666, 0o622] {
        house.chmod(mode);
        let said = house.refused_start().await;
        for needed in [
            format!("mode {mode:04o}"),
            format!("chmod 644 {}", house.key_file(FILE).display()),
            "firstline keys show".to_owned(),
        ] {
            assert!(said.contains(&needed), "{mode:o}: {said}");
        }
    }
    // Everybody may read it, and mended it seals what delivery opens.
    house.chmod(0o444);
    let running = house.run();
    house.reset(&running, ADELE).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_key_that_is_missing_or_no_seal_key_is_refused_and_named() {
    type Spoil = fn(&House);
    let cases: [(&str, Spoil); 6] = [
        ("firstline keys init", |house| {
            std::fs::remove_file(house.key_file(FILE)).unwrap();
        }),
        ("`PUBLIC KEY`", |house| {
            std::fs::write(house.key_file(FILE), "").unwrap();
            house.chmod(0o644);
        }),
        ("`PUBLIC KEY`", |house| {
            std::fs::write(house.key_file(FILE), "hunter2").unwrap();
        }),
        // The private one does not belong here, and is not shown.
        ("`PUBLIC KEY`", |house| {
            std::fs::write(house.key_file(FILE), house.read_key("seal.key")).unwrap();
        }),
        ("`PUBLIC KEY`", |house| {
            std::fs::write(house.key_file(FILE), house.read_key("trusted.json")).unwrap();
        }),
        ("firstline keys init", |house| {
            std::fs::remove_file(house.key_file(FILE)).unwrap();
            std::fs::create_dir(house.key_file(FILE)).unwrap();
        }),
    ];
    let house = House::new().await;
    for (why, spoil) in cases {
        spoil(&house);
        let said = house.refused_start().await;
        assert!(said.contains(why), "expected {why}: {said}");
        assert!(said.contains("firstline keys init"), "how to mend it: {said}");
    }
}
