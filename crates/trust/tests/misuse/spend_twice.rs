fn main() {}
fn act(_: trust::SpentPermit) {}
fn twice(permit: trust::Permit) {
    let spent = permit.spend();
    act(spent);
    act(spent);
}
