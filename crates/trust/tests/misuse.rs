//! What must not compile: printing or storing a secret, using a proof twice, making one up.

#[test]
fn misuse_does_not_compile() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/misuse/*.rs");
}
