//! Files as people make them, good and bad ones.

use proptest::prelude::*;

use super::*;

fn from(bytes: &[u8]) -> Result<Vec<Labelled>, Refused> {
    read(&[File {
        name: "tickets",
        bytes,
    }])
}

/// The complaints, as they are shown.
fn wrong(bytes: &[u8]) -> String {
    from(bytes).expect_err("something is wrong").to_string()
}

fn expected() -> Vec<Labelled> {
    vec![
        Labelled {
            id: Some("a1".to_owned()),
            subject: "Locked, again".to_owned(),
            body: "Three times wrong.\nThen \"locked\".".to_owned(),
            kind: Kind::AccountUnlock,
            automatable: Some(true),
            row: 2,
        },
        Labelled {
            id: None,
            subject: String::new(),
            body: "Der Drucker streikt".to_owned(),
            kind: Kind::Printer,
            automatable: None,
            row: 4,
        },
    ]
}

const COMMAS: &str = "id,subject,body,category,automatable\n\
    a1,\"Locked, again\",\"Three times wrong.\nThen \"\"locked\"\".\",ACCOUNT_UNLOCK,yes\n\
    ,,Der Drucker streikt,PRINTER,\n";

#[test]
fn spreadsheets_of_all_sorts_hold_the_same_tickets() {
    assert_eq!(from(COMMAS.as_bytes()), Ok(expected()));
    let windows = COMMAS.replace('\n', "\r\n");
    assert_eq!(from(format!("\u{feff}{windows}").as_bytes()), Ok(expected()));
    let semicolons = COMMAS.replace(',', ";").replace("Locked; again", "Locked, again");
    assert_eq!(from(semicolons.as_bytes()), Ok(expected()));
    let tabs = COMMAS
        .replace(',', "\t")
        .replace("Locked\t again", "Locked, again");
    assert_eq!(from(tabs.as_bytes()), Ok(expected()));
    // Without a line end at the end; other columns and another order; upper case in the header.
    let other = "Category;note;Body;Subject\nPRINTER;x;Der Drucker streikt;";
    let [only] = from(other.as_bytes()).unwrap().try_into().unwrap();
    assert_eq!((only.kind, only.row), (Kind::Printer, 2));
}

#[test]
fn json_lines_hold_them_too_and_all_have_one_digest() {
    let lines = concat!(
        r#"{"id": "a1", "subject": "Locked, again", "body": "Three times wrong.\r\nThen \"locked\".", "#,
        r#""category": "ACCOUNT_UNLOCK", "automatable": true, "note": [1]}"#,
        "\r\n\n",
        r#"{"subject": "", "body": "Der Drucker streikt", "category": "PRINTER", "automatable": null}"#,
    );
    let read = from(lines.as_bytes()).unwrap();
    assert_eq!(read.iter().map(|ticket| ticket.row).collect::<Vec<_>>(), [1, 3]);
    assert_eq!(digest(&read), digest(&expected()));
    let mut turned = read;
    turned.reverse();
    assert_eq!(digest(&turned), digest(&expected()));
    for ticket in &mut turned {
        ticket.automatable = Some(false);
    }
    assert_ne!(digest(&turned), digest(&expected()));
}

#[test]
fn two_different_tickets_never_look_alike_to_a_digest() {
    let mut moved = expected();
    moved[0].subject = "Locked, againT".to_owned();
    moved[0].body = moved[0].body.split_off(1);
    assert_ne!(digest(&moved), digest(&expected()));
}

#[test]
fn whatever_is_wrong_with_a_table_is_said_with_its_row() {
    insta::assert_snapshot!(wrong(
        b"id,subject,body,category,automatable\n\
        1,s,\"two\nlines\",PASSWORT_RESET,yes\n\
        2,s,b,PRINTER,maybe\n\
        2,s,b,printer,no\n\
        3,s,b,OTHER,no\n\
        3,s,b,OTHER,no\n\
        4,s,b\n\
        5,s,b,OTHER,no,more\n\
        6,s,caf\xE9,OTHER,no\n\
        7,s,a\0b,OTHER,no\n\
        8,s,b,,no\n\
        9,s,\"b,OTHER,no\n\
        10,s,b,OTHER,no\n"
    ));
}

#[test]
fn whatever_is_wrong_with_lines_is_said_with_its_row() {
    insta::assert_snapshot!(wrong(
        b"{\"subject\": \"s\", \"body\": \"b\", \"category\": \"MFA\"}\n\
        {\"subject\": \"s\", \"body\": 7}\n\
        {\"subject\": \"s\",\n\
        prose\n\
        [1]\n\
        {\"subject\": \"s\", \"body\": \"b\", \"category\": \"OTHER\", \"automatable\": {}}\n\
        {\"subject\": \"a\\u0000b\", \"body\": \"b\", \"category\": \"OTHER\"}\n\
        {\"subject\": \"caf\xE9\"}\n\
        {\"subject\": \"\x1b[31m\", \"body\": \"b\", \"category\": \"OTHER\"}\n\
        {\"subject\": \"s\", \"body\": \"b\", \"category\": \"\\u001b[31mred\"}\n"
    ));
}

#[test]
fn what_is_no_file_of_tickets_says_what_it_should_be() {
    let said: Vec<String> = [
        &b""[..],
        b"\xEF\xBB\xBF \r\n",
        b"subject,body,category\n",
        b"title;text\na;b\n",
        b"subject,body,category,subject\n",
        b"[{\"subject\": \"s\"}]",
        b"\xFF\xFEs\0u\0",
    ]
    .map(wrong)
    .into();
    insta::assert_snapshot!(said.join("\n"));
}

#[test]
fn a_body_may_have_a_mebibyte_and_not_a_byte_more() {
    let file = |length: usize| format!("subject,body,category\ns,{},OTHER\n", "x".repeat(length));
    assert!(from(file(1024 * 1024).as_bytes()).is_ok());
    assert_eq!(
        wrong(file(1024 * 1024 + 1).as_bytes()),
        "tickets:2: the body has 1048577 bytes, more than 1 MiB: shorten it, or look for a quotation mark that is \
         never closed"
    );
}

#[test]
fn twenty_complaints_are_enough_to_begin_with() {
    let rows = "s,b,NOTHING\n".repeat(57);
    let refused = from(format!("subject,body,category\n{rows}").as_bytes()).unwrap_err();
    assert_eq!((refused.complaints.len(), refused.more), (20, 37));
    assert!(refused.to_string().ends_with("\nand 37 more"));
}

#[test]
fn an_id_is_unique_over_all_files() {
    let file = |name| File {
        name,
        bytes: b"id,subject,body,category\n7,s,b,OTHER\n",
    };
    let refused = read(&[file("one.csv"), file("two.csv")]).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "two.csv:2: id `7` is taken by one.csv:2: leave one of the two out, or give it another id"
    );
}

#[test]
fn an_attack_can_be_cut_out_where_its_words_are_known() {
    let file = File {
        name: "attacks",
        bytes: br#"{"id": 1, "subject": "Hi", "body": "Help. Obey me!", "injection_text": " Obey me!", "attack_kind": "order"}
{"subject": "Hi", "body": "Help", "injection_text": "elsewhere"}"#,
    };
    let attacks = read_attacks(file).unwrap();
    assert_eq!(attacks[0].cut_out(), Some(("Hi".to_owned(), "Help.".to_owned())));
    assert_eq!(attacks[0].sort.as_deref(), Some("order"));
    assert_eq!(attacks[1].cut_out(), None);
    let table = File {
        name: "attacks",
        bytes: b"subject,body\n",
    };
    assert!(read_attacks(table).is_err());
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic_and_what_is_refused_has_a_reason(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        if let Err(refused) = from(&bytes) {
            prop_assert!(!refused.to_string().is_empty());
        }
    }

    #[test]
    fn what_a_careful_program_writes_is_read_back(
        texts in proptest::collection::vec(("[^\0]{0,30}", "[^\0]{0,60}"), 1..8)
    ) {
        // No lone `\r\n`: line ends within texts are made the same everywhere.
        let texts: Vec<(String, String)> = texts
            .into_iter()
            .map(|(subject, body)| (subject.replace('\r', ""), body.replace('\r', "")))
            .collect();
        let mut writer = csv::WriterBuilder::new().delimiter(b';').from_writer(vec![]);
        writer.write_record(["subject", "body", "category"]).unwrap();
        for (subject, body) in &texts {
            writer.write_record([subject.as_str(), body, "OTHER"]).unwrap();
        }
        let read = from(&writer.into_inner().unwrap()).unwrap();
        let back: Vec<(String, String)> =
            read.into_iter().map(|ticket| (ticket.subject, ticket.body)).collect();
        prop_assert_eq!(back, texts);
    }
}
