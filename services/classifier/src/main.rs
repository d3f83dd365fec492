//! The classifier service as a process.

fn main() -> std::process::ExitCode {
    chassis::main(classifier::serve)
}
