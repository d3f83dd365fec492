//! The orchestration service as a process.

fn main() -> std::process::ExitCode {
    chassis::main(orchestration::serve)
}
