fn main() {}
fn keep(opened: &trust::OpenedCredential) -> trust::OpenedCredential {
    trust::OpenedCredential::clone(opened)
}
