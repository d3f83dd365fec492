//! The executor service as a process.

fn main() -> std::process::ExitCode {
    chassis::main(executor::serve)
}
