fn main() {}
fn leak(credential: trust::Credential) {
    println!("{credential:?}");
}
