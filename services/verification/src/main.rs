//! The verification service as a process.

fn main() -> std::process::ExitCode {
    chassis::main(verification::serve)
}
