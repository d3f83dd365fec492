fn main() {}
fn leak(credential: trust::Credential) -> String {
    serde_json::to_string(&credential).unwrap()
}
