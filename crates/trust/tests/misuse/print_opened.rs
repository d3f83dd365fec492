fn main() {}
fn leak(opened: trust::OpenedCredential) {
    println!("{opened:?}");
}
