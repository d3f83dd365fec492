//! The delivery service as a process.

fn main() -> std::process::ExitCode {
    chassis::main(delivery::serve)
}
