fn main() {}
fn invent(claims: trust::PermitClaims) -> trust::SpentPermit {
    trust::SpentPermit { claims }
}
