fn main() {}
fn leak(opened: trust::OpenedCredential) -> String {
    serde_json::to_string(&opened).unwrap()
}
