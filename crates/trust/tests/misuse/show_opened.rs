fn main() {}
fn leak(opened: trust::OpenedCredential) -> String {
    opened.to_string()
}
