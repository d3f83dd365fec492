fn main() {}
fn leak(signing: trust::SigningKey, seal: trust::SealKey) {
    println!("{signing:?} {seal:?}");
}
